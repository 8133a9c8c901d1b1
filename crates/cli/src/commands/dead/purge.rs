//! `postrider dead purge`

use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_queue::admin::{DeadLetter, Inspector};
use serde_json::json;
use telemetry::Telemetry;

use super::super::audit;
use super::super::render::count;
use super::super::target::LookArgs;
use super::select::{FilterArgs, confirm, missing, select};

/// Dead letters that one command deletes at most.
const GROUP: usize = 500;

/// Delete dead letters permanently
#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    look: LookArgs,
    /// All dead letters
    #[arg(long)]
    all: bool,
    /// Print the number and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short = 'y')]
    yes: bool,
    /// Print one JSON document: the number `purged`, or `would_be_purged`
    #[arg(long)]
    json: bool,
}

impl PurgeArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        self.filter.require(self.all)?;
        let view = self.look.open(telemetry).await?;
        let now = view.inspector.now().await?;
        let filter = self.filter.at(now);
        let letters = select(&view, &filter).await?;
        let missing = missing(self.filter.ids(), &letters);
        missing.iter().for_each(|id| super::not_found(&view, "entry id or job id", id));
        let code = if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) };
        let what = count(letters.len(), "dead letter", "dead letters");
        if self.dry_run {
            self.print_result("would_be_purged", letters.len() as u64, &format!("{what} would be deleted"));
            return Ok(code);
        }
        let question = format!("Delete {what} of {} for good?", view.names());
        if !letters.is_empty() && !confirm(&question, self.yes)? {
            eprintln!("nothing was deleted");
            return Ok(ExitCode::from(1));
        }
        let purged = purge(&view.inspector, &letters, &filter.to_string()).await;
        view.inspector.close().await;
        let purged = purged?;
        let done = count(purged as usize, "dead letter was", "dead letters were");
        self.print_result("purged", purged, &format!("{done} deleted"));
        Ok(code)
    }

    fn print_result(&self, name: &str, number: u64, text: &str) {
        if self.json { print_line!("{}", json!({ name: number })) } else { print_line!("{text}") }
    }
}

/// Deletes dead letters, which are in the order of their queues, and records it, queue by queue.
async fn purge(
    inspector: &Inspector,
    letters: &[DeadLetter],
    subject: &str,
) -> Result<u64, postrider_queue::Error> {
    let mut purged = 0;
    for own in letters.chunk_by(|one, other| one.queue.queue == other.queue.queue) {
        let (mut deleted, mut stopped) = (0, Ok(()));
        let shards = own.chunk_by(|one, other| one.queue == other.queue);
        for group in shards.flat_map(|shard| shard.chunks(GROUP)) {
            match inspector.purge(&group[0].queue, &group.iter().collect::<Vec<_>>()).await {
                Ok(count) => deleted += count,
                Err(error) => {
                    stopped = Err(error);
                    break;
                }
            }
        }
        audit::record(inspector, "purge", own[0].queue.queue.as_str(), subject, deleted).await;
        stopped?;
        purged += deleted;
    }
    Ok(purged)
}
