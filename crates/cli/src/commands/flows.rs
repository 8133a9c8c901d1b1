//! `postrider flows`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use postrider_queue::admin::HeldFlow;
use postrider_queue::job::FlowId;
use serde_json::{Map, Value, json};
use telemetry::Telemetry;

use super::render::{brief, plain, table, time};
use super::target::LookArgs;

/// Show flows with an open breaker or held jobs
///
/// A breaker opens after consecutive attempts without a response; nothing is sent then. Later it is half-open: one
/// attempt is made as a trial. With --queue, only flows that hold jobs of these queues are shown.
#[derive(Debug, Args)]
pub(super) struct FlowsArgs {
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
        let flows = view.inspector.held_flows(&view.queues, all).await?;
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if self.json {
            flows.iter().for_each(|(id, flow)| say!("{}", json_of(*id, flow, now)));
        } else {
            let header = ["FLOW", "BREAKER", "SINCE", "NEXT TRIAL", "HELD", "QUEUES"];
            say!("{}", table(header, flows.iter().map(|(id, flow)| row(*id, flow, now))));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn name(id: FlowId, flow: &HeldFlow) -> String {
    flow.name.as_ref().map_or_else(|| format!("({id})"), |name| plain(name.as_bytes(), 256))
}

fn breaker(flow: &HeldFlow, now: u64) -> &'static str {
    match flow {
        HeldFlow { trips: 0, .. } => "closed",
        HeldFlow { open_until: Some(until), .. } if *until > now => "open",
        _ => "half-open",
    }
}

fn row(id: FlowId, flow: &HeldFlow, now: u64) -> [String; 6] {
    let span = |from: u64, to: u64| brief(Duration::from_millis(to.saturating_sub(from)));
    let next = match (breaker(flow, now), flow.open_until) {
        ("open", Some(until)) => format!("in {}", span(now, until)),
        ("half-open", _) => "now".to_owned(),
        _ => "-".to_owned(),
    };
    let queues: Vec<_> = flow.held.iter().map(|(queue, jobs)| format!("{queue} {jobs}")).collect();
    [
        name(id, flow),
        breaker(flow, now).to_owned(),
        flow.since.map_or("-".to_owned(), |since| format!("{} ago", span(since, now))),
        next,
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
        "breaker": breaker(flow, now),
        "trips": flow.trips,
        "opened_at": flow.since,
        "opened": flow.since.map(time),
        "open_until": flow.open_until,
        "held": flow.jobs(),
        "queues": queues,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_396_101_000;

    #[test]
    fn a_breaker_is_open_until_its_pause_is_over() {
        let flow = |trips, until| HeldFlow { trips, open_until: until, ..HeldFlow::default() };
        assert_eq!(breaker(&flow(0, None), NOW), "closed");
        assert_eq!(breaker(&flow(1, Some(NOW + 1)), NOW), "open");
        assert_eq!(breaker(&flow(1, Some(NOW)), NOW), "half-open");
    }

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
        assert_eq!(row(id, &known, NOW)[..4], ["h:80\\u{1b}", "half-open", "2s ago", "now"]);
    }
}
