//! `postrider dead`

mod list;
mod purge;
mod replay;
mod select;
mod summary;

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use postrider_console::view::DeadView;
use postrider_queue::admin::DeadLetter;
use serde_json::json;
use telemetry::Telemetry;

use super::attempts::{attempts_table, of_fields};
use super::render::fields_table;
use super::target::{LookArgs, View};
use super::trace_url::TraceUrl;

/// List, show, replay or delete dead letters
///
/// ID is the dead letter's entry id or its job id; `show` also takes the label. Dead letters are kept for about 30
/// days, and about the last 100,000 of a queue. Exit code 1: there is no such dead letter, or a change failed.
#[derive(Debug, Args)]
pub(super) struct DeadArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Show(ShowArgs),
    Replay(replay::ReplayArgs),
    Purge(purge::PurgeArgs),
    Summary(summary::SummaryArgs),
}

/// Show a dead letter with all its fields and attempts; possible secrets are masked
#[derive(Debug, Args)]
struct ShowArgs {
    /// Entry id of the dead letter, job id or label
    id: String,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    trace_url: TraceUrl,
    /// Print one JSON document: the list `dead`
    #[arg(long)]
    json: bool,
    /// Show secrets, too
    #[arg(long)]
    reveal: bool,
}

impl DeadArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Command::List(args) => args.run(telemetry).await,
            Command::Show(args) => args.run(telemetry).await,
            Command::Replay(args) => args.run(telemetry).await,
            Command::Purge(args) => args.run(telemetry).await,
            Command::Summary(args) => args.run(telemetry).await,
        }
    }
}

impl ShowArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let links = self.trace_url.links();
        let view = self.look.open(telemetry).await?;
        let mut found = Vec::new();
        for (_, own) in view.each(async |queue| view.inspector.find_dead(queue, &self.id).await).await? {
            found.extend(own);
        }
        if found.is_empty() {
            for (_, own) in
                view.each(async |queue| view.inspector.labelled_dead(queue, &self.id).await).await?
            {
                found.extend(own);
            }
        }
        view.inspector.close().await;
        if self.json {
            let letters: Vec<_> = found.iter().map(|letter| DeadView::whole(letter, self.reveal)).collect();
            print_line!("{}", links.added_to(json!({ "dead": letters })));
        } else {
            for letter in &found {
                let DeadLetter { queue, entry, job_id, .. } = letter;
                print_line!("queue {queue}, dead letter {entry}, job id {job_id}");
                print_line!("{}", fields_table(&letter.fields, self.reveal));
                let attempts = of_fields(&letter.fields);
                attempts_table(&attempts).iter().for_each(|history| print_line!("\n{history}"));
                links.print_of(&letter.fields, &attempts);
            }
        }
        if found.is_empty() {
            not_found(&view, "entry id, job id or label", &self.id);
            return Ok(ExitCode::from(1));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn not_found(view: &View, what: &str, id: &str) {
    eprintln!(
        "error: no dead letter with the {what} {id} in {}; it was replayed, purged, or is not dead \
         (see `postrider jobs show {id}`)",
        view.names()
    );
}
