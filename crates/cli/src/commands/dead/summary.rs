//! `postrider dead summary`

use std::cell::RefCell;
use std::error::Error;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use postrider_console::view::{DeadGroups, Group, Kind, brief, time};
use serde_json::{Value, json};
use telemetry::Telemetry;

use super::super::listing::print_noted;
use super::super::target::LookArgs;
use super::select::{FilterArgs, each};

/// Count dead letters by reason, host, status and error, most frequent first
#[derive(Debug, Args)]
pub(super) struct SummaryArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    look: LookArgs,
    /// At most this many groups
    #[arg(long, default_value = "20", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON object per line, one for each group
    #[arg(long)]
    json: bool,
}

impl SummaryArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let now = view.inspector.now().await?;
        let filter = self.filter.at(now);
        let groups = RefCell::new(DeadGroups::default());
        let count = async |queue: &_| {
            each(&view.inspector, queue, &filter, |letter| {
                groups.borrow_mut().add(&letter);
                ControlFlow::Continue(())
            })
            .await
        };
        view.each(count).await?;
        view.inspector.close().await;
        let mut groups = groups.into_inner().sorted();
        let more = groups.len().saturating_sub(self.limit as usize);
        groups.truncate(self.limit as usize);
        if self.json {
            groups.iter().for_each(|(kind, group)| print_line!("{}", json_of(kind, *group)));
        } else {
            print(&groups, now);
        }
        if more > 0 {
            eprintln!("note: there are {more} more groups; --limit shows them");
        }
        Ok(view.code())
    }
}

fn print(groups: &[(Kind, Group)], now: u64) {
    let rows = groups.iter().map(|(kind, group)| {
        let ago = brief(Duration::from_millis(now.saturating_sub(group.last)));
        let status = if kind.status.is_empty() { "-".to_owned() } else { kind.status.clone() };
        let (count, died) = (group.count.to_string(), format!("{ago} ago"));
        ([count, kind.reason.clone(), status, died, kind.host.clone()], kind.error.clone())
    });
    print_noted(["COUNT", "REASON", "STATUS", "LAST DIED", "HOST"], "ERROR", rows.collect());
}

fn json_of(kind: &Kind, group: Group) -> Value {
    json!({
        "count": group.count,
        "reason": kind.reason,
        "host": kind.host,
        "status": kind.status.parse::<u16>().ok(),
        "error_type": Some(&kind.status).filter(|status| !status.is_empty() && status.parse::<u16>().is_err()),
        "error": kind.error,
        "first_died": time(group.first),
        "last_died": time(group.last),
    })
}
