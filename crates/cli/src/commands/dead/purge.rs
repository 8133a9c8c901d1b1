//! `postrider dead purge`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use postrider_queue::job::EntryId;
use serde_json::json;
use telemetry::Telemetry;

use super::super::Usage;
use super::super::render::count;
use super::super::target::LookArgs;
use super::select::{Filter, confirm, reasons, select};
use crate::units::duration;

/// Dead letters that one command deletes at most.
const GROUP: usize = 500;

/// Delete dead letters permanently
#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    look: LookArgs,
    /// All dead letters that match --reason and --older-than
    #[arg(long)]
    all: bool,
    /// Only dead letters with this reason
    #[arg(long, value_parser = reasons(), value_name = "REASON")]
    reason: Option<String>,
    /// Only jobs that died longer ago than this
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    older_than: Option<Duration>,
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
        if !self.all && self.reason.is_none() && self.older_than.is_none() {
            return Err(Usage("give --all, --reason or --older-than".to_owned()).into());
        }
        let view = self.look.open(telemetry).await?;
        let now = view.inspector.now().await?;
        let filter = Filter {
            reason: self.reason.clone(),
            before: self.older_than.map(|time| now.saturating_sub(time.as_millis() as u64)),
            ..Filter::default()
        };
        let letters = select(&view, &filter).await?;
        let what = count(letters.len(), "dead letter", "dead letters");
        if self.dry_run {
            self.say("would_be_purged", letters.len() as u64, &format!("{what} would be deleted"));
            return Ok(ExitCode::SUCCESS);
        }
        let question = format!("Delete {what} of {} for good?", view.names());
        if !letters.is_empty() && !confirm(&question, self.yes)? {
            eprintln!("nothing was deleted");
            return Ok(ExitCode::from(1));
        }
        let mut purged = 0;
        for queue in &view.queues {
            let entries: Vec<EntryId> =
                letters.iter().filter(|letter| letter.queue == *queue).map(|letter| letter.entry).collect();
            for entries in entries.chunks(GROUP) {
                purged += view.inspector.purge(queue, entries).await?;
            }
        }
        view.inspector.close().await;
        let done = count(purged as usize, "dead letter was", "dead letters were");
        self.say("purged", purged, &format!("{done} deleted"));
        Ok(ExitCode::SUCCESS)
    }

    fn say(&self, name: &str, number: u64, text: &str) {
        if self.json { say!("{}", json!({ name: number })) } else { say!("{text}") }
    }
}
