//! `postrider flows`

use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_queue::admin::HeldFlow;
use postrider_queue::job::FlowId;
use serde_json::{Map, Value, json};
use telemetry::Telemetry;

use super::listing::print_noted;
use super::render::{plain, time};
use super::target::LookArgs;
use super::why::{breaker, error, next, span, word};

/// Show flows with an open breaker or held jobs, and why
///
/// WHY is `breaker`: consecutive attempts had no response, and nothing is sent until one attempt is made as a trial;
/// `retry_after`: the destination asked for a pause; `rate` or `concurrency`: a limit of the configuration; `window`: the
/// destination is slow, and earlier attempts have not been answered. With --queue, only flows that hold jobs of these
/// queues are shown.
#[derive(Debug, Args)]
pub(super) struct FlowsArgs {
    /// Only this flow: HOST, HOST:PORT, or the key of the field `flow` [default: all]
    #[arg(value_name = "HOST")]
    flow: Option<String>,
    #[command(flatten)]
    look: LookArgs,
    /// Print one JSON object per line, one for each flow
    #[arg(long)]
    json: bool,
}

impl FlowsArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let all = !self.look.names_queues();
        let view = self.look.open(telemetry).await?;
        let mut flows = view.inspector.held_flows(&view.queues, all).await?;
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if let Some(wanted) = &self.flow {
            flows.retain(|(id, flow)| is_meant(wanted, *id, flow));
        }
        if self.json {
            flows.iter().for_each(|(id, flow)| print_line!("{}", json_of(*id, flow, now)));
        } else {
            print(&flows, now);
        }
        if let Some(wanted) = self.flow.filter(|_| flows.is_empty()) {
            eprintln!(
                "note: nothing holds jobs for {wanted} in {}; they may be scheduled: see `postrider jobs list --state \
                 scheduled`",
                view.names()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether a flow is the one of that key, or of that host on any port.
fn is_meant(wanted: &str, id: FlowId, flow: &HeldFlow) -> bool {
    let host = flow.name.as_deref().and_then(|name| name.rsplit_once(':')).map(|(host, _)| host);
    id == FlowId::of(wanted)
        || id.to_string() == wanted
        || host.is_some_and(|host| host.eq_ignore_ascii_case(wanted))
}

fn name(id: FlowId, flow: &HeldFlow) -> String {
    flow.name.as_ref().map_or_else(|| format!("({id})"), |name| plain(name.as_bytes(), 256))
}

fn print(flows: &[(FlowId, HeldFlow)], now: u64) {
    let header = ["FLOW", "WHY", "SINCE", "NEXT TRIAL", "HELD", "QUEUES"];
    let rows = flows.iter().map(|(id, flow)| (row(*id, flow, now), error(flow))).collect();
    print_noted(header, "LAST ERROR", rows);
}

fn row(id: FlowId, flow: &HeldFlow, now: u64) -> [String; 6] {
    let queues: Vec<_> = flow.held.iter().map(|(queue, jobs)| format!("{queue} {jobs}")).collect();
    [
        name(id, flow),
        word(flow, now).to_owned(),
        flow.since.map_or("-".to_owned(), |since| format!("{} ago", span(since, now))),
        next(flow, now).unwrap_or("-".to_owned()),
        flow.jobs().to_string(),
        queues.join(", "),
    ]
}

fn json_of(id: FlowId, flow: &HeldFlow, now: u64) -> Value {
    let queues: Map<String, Value> =
        flow.held.iter().map(|(queue, jobs)| (queue.to_string(), (*jobs).into())).collect();
    json!({
        "flow": flow.name.as_ref().map(|name| plain(name.as_bytes(), 256)),
        "id": id.to_string(),
        "why": Some(word(flow, now)).filter(|word| *word != "-"),
        "breaker": breaker(flow, now),
        "trips": flow.trips,
        "opened_at": flow.since,
        "opened": flow.since.map(time),
        "open_until": flow.open_until,
        "hold_until": flow.hold_until,
        "error": Some(error(flow)).filter(|error| !error.is_empty()),
        "attempts": flow.attempts,
        "held": flow.jobs(),
        "queues": queues,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_396_101_000;

    #[test]
    fn a_flow_without_a_name_is_shown_by_its_id() {
        let id = FlowId::of("h:80");
        assert_eq!(row(id, &HeldFlow::default(), NOW)[0], format!("({id})"));
        let known = HeldFlow {
            name: Some("h:80\u{1b}".into()),
            since: Some(NOW - 2_000),
            trips: 1,
            ..HeldFlow::default()
        };
        assert_eq!(row(id, &known, NOW)[..4], ["h:80\\u{1b}", "breaker", "2s ago", "now"]);
    }

    #[test]
    fn a_flow_is_found_by_its_name_and_by_its_host() {
        let flow = HeldFlow { name: Some("acme.example:443".into()), ..HeldFlow::default() };
        let id = FlowId::of("acme.example:443");
        for wanted in ["acme.example:443", "acme.example", "ACME.example", &id.to_string()] {
            assert!(is_meant(wanted, id, &flow), "{wanted}");
        }
        assert!(!is_meant("example", id, &flow) && !is_meant("acme.example:80", id, &flow));
    }
}
