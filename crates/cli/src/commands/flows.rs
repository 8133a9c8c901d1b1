//! `postrider flows`

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use postrider_console::view::{FlowView, flow_error, is_meant, next_attempt, plain, span, why};
use postrider_queue::admin::HeldFlow;
use postrider_queue::job::FlowId;
use serde_json::json;
use telemetry::Telemetry;

use super::listing::print_noted;
use super::pause::{PauseFlowArgs, ResumeFlowArgs};
use super::target::LookArgs;

/// Show flows with an open breaker or held jobs, and paused flows, and why
///
/// WHY is `paused`: somebody has paused the flow; `breaker`: consecutive attempts had no response, and nothing is sent until one attempt is made as a trial;
/// `retry_after`: the destination asked for a pause; `rate` or `concurrency`: a limit of the configuration; `window`: the
/// destination is slow, and earlier attempts have not been answered. With --queue, only flows that hold jobs of these
/// queues are shown.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct FlowsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only this flow: HOST, HOST:PORT, or the key of the field `flow` [default: all]
    #[arg(value_name = "HOST")]
    flow: Option<String>,
    #[command(flatten)]
    look: LookArgs,
    /// Print one JSON object per line, one for each flow
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Pause(PauseFlowArgs),
    Resume(ResumeFlowArgs),
}

impl FlowsArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Some(Command::Pause(args)) => return args.run(telemetry).await,
            Some(Command::Resume(args)) => return args.run(telemetry).await,
            None => {}
        }
        let all = !self.look.names_queues();
        let view = self.look.open(telemetry).await?;
        let mut flows = view.inspector.held_flows(&view.queues, all).await?;
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if let Some(wanted) = &self.flow {
            flows.retain(|(id, flow)| is_meant(wanted, *id, flow.name.as_deref()));
        }
        if self.json {
            flows.iter().for_each(|(id, flow)| print_line!("{}", json!(FlowView::new(*id, flow, now))));
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

fn name(id: FlowId, flow: &HeldFlow) -> String {
    flow.name.as_ref().map_or_else(|| format!("({id})"), |name| plain(name.as_bytes(), 256))
}

fn print(flows: &[(FlowId, HeldFlow)], now: u64) {
    let header = ["FLOW", "WHY", "SINCE", "NEXT TRIAL", "HELD", "QUEUES"];
    let rows = flows.iter().map(|(id, flow)| (row(*id, flow, now), flow_error(flow))).collect();
    print_noted(header, "LAST ERROR", rows);
}

fn row(id: FlowId, flow: &HeldFlow, now: u64) -> [String; 6] {
    let queues: Vec<_> = flow.held.iter().map(|(queue, jobs)| format!("{queue} {jobs}")).collect();
    [
        name(id, flow),
        why(flow, now).to_owned(),
        since(flow).map_or("-".to_owned(), |since| format!("{} ago", span(since, now))),
        next_attempt(flow, now).unwrap_or("-".to_owned()),
        flow.jobs().to_string(),
        queues.join(", "),
    ]
}

/// Since when it is paused, or its breaker open.
fn since(flow: &HeldFlow) -> Option<u64> {
    flow.pause.as_ref().map_or(flow.since, |pause| pause.since)
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
}
