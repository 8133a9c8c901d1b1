//! `postrider audit`, and the records of the changes that this program makes.

use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_console::view::ChangeView;
use postrider_queue::admin::{Change, Inspector};
use serde_json::json;
use telemetry::Telemetry;

use super::RedisArgs;
use super::render::table;

/// Show who changed something by hand: cancel, run-now, replay, purge, pause, resume, cron; the newest first
///
/// The last 10,000 changes are kept, about, those over the HTTP API and those with this program.
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    redis: RedisArgs,
    /// At most this many
    #[arg(long, default_value = "20", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// Print one JSON object per line, one for each change
    #[arg(long)]
    json: bool,
}

impl AuditArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let inspector = Inspector::connect(self.redis.url(), telemetry).await?;
        let records = inspector.changes(None, self.limit.into()).await;
        inspector.close().await;
        let changes: Vec<_> = records?.iter().map(ChangeView::new).collect();
        if self.json {
            changes.iter().for_each(|change| print_line!("{}", json!(change)));
        } else if !changes.is_empty() {
            let row = |change: ChangeView| {
                let queue = change.queue.unwrap_or_else(|| "-".to_owned());
                [change.time, change.caller, change.change, queue, change.jobs.to_string(), change.subject]
            };
            let header = ["TIME", "CALLER", "CHANGE", "QUEUE", "JOBS", "WHICH"];
            print_line!("{}", table(header, changes.into_iter().map(row)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Records a change that was made with this program.
pub(super) async fn record(
    inspector: &Inspector,
    change: &'static str,
    queue: &str,
    subject: &str,
    jobs: u64,
) {
    if jobs > 0 {
        inspector.record(&Change { caller: &caller(), change, queue: Some(queue), subject, jobs }).await;
    }
}

/// Records a pause, or its end, that was set with this program.
pub(super) async fn record_pause(
    inspector: &Inspector,
    change: &'static str,
    queue: Option<&str>,
    subject: &str,
) {
    inspector.record(&Change { caller: &caller(), change, queue, subject, jobs: 0 }).await;
}

/// Who uses this program.
pub(super) fn caller() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    user.filter(|user| !user.is_empty()).map_or("cli".to_owned(), |user| format!("cli:{user}"))
}
