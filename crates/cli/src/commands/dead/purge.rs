//! `postrider dead purge`

use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_queue::admin::DeadLetter;
use serde_json::json;
use telemetry::Telemetry;

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
        let letters = select(&view, &self.filter.at(now)).await?;
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
        let mut purged = 0;
        for queue in &view.queues {
            let letters: Vec<&DeadLetter> = letters.iter().filter(|letter| letter.queue == *queue).collect();
            for letters in letters.chunks(GROUP) {
                purged += view.inspector.purge(queue, letters).await?;
            }
        }
        view.inspector.close().await;
        let done = count(purged as usize, "dead letter was", "dead letters were");
        self.print_result("purged", purged, &format!("{done} deleted"));
        Ok(code)
    }

    fn print_result(&self, name: &str, number: u64, text: &str) {
        if self.json { print_line!("{}", json!({ name: number })) } else { print_line!("{text}") }
    }
}
