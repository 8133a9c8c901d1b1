//! `postrider dead`

mod purge;
mod replay;
mod select;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use postrider_queue::admin::DeadLetter;
use serde_json::{Value, json};
use telemetry::Telemetry;

use self::select::FilterArgs;
use super::listing::{self, Listed};
use super::render::{brief, field, fields_json, fields_table, history_table, line, plain, time};
use super::target::{LookArgs, View};

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
    List(ListArgs),
    Show(ShowArgs),
    Replay(replay::ReplayArgs),
    Purge(purge::PurgeArgs),
}

/// List dead letters, newest first
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// At most this many of each queue
    #[arg(long, default_value = "20", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    limit: u32,
    /// Print one JSON object per line, one for each dead letter
    #[arg(long)]
    json: bool,
}

/// Show a dead letter with all its fields and attempts; possible secrets are masked
#[derive(Debug, Args)]
struct ShowArgs {
    /// Entry id of the dead letter, job id or label
    id: String,
    #[command(flatten)]
    look: LookArgs,
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
        }
    }
}

impl ListArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let now = view.inspector.now().await?;
        let filter = self.filter.at(now);
        let (mut letters, mut more) = (Vec::new(), false);
        for queue in &view.queues {
            let (mut before, mut listed) = (None, 0);
            'pages: loop {
                let page = view.inspector.dead_before(queue, before).await?;
                let Some(last) = page.last() else { break };
                before = Some(last.entry);
                let past = filter.is_before(last);
                for letter in page.into_iter().filter(|letter| filter.matches(letter)) {
                    if listed == self.limit {
                        more = true;
                        break 'pages;
                    }
                    listed += 1;
                    letters.push(letter);
                }
                if past {
                    break;
                }
            }
        }
        view.inspector.close().await;
        if self.json {
            letters.iter().for_each(|letter| say!("{}", summary_json(letter)));
        } else {
            print(&letters, now);
        }
        if more {
            eprintln!("note: there are more; --limit shows them");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ShowArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let mut found = Vec::new();
        for queue in &view.queues {
            found.extend(view.inspector.find_dead(queue, &self.id).await?);
        }
        if found.is_empty() {
            for queue in &view.queues {
                found.extend(view.inspector.labelled_dead(queue, &self.id).await?);
            }
        }
        view.inspector.close().await;
        if self.json {
            let letters: Vec<_> = found.iter().map(|letter| whole_json(letter, self.reveal)).collect();
            say!("{}", json!({ "dead": letters }));
        } else {
            for letter in &found {
                let DeadLetter { queue, entry, job_id, .. } = letter;
                say!("queue {queue}, dead letter {entry}, job id {job_id}");
                say!("{}", fields_table(&letter.fields, self.reveal));
                history_table(&letter.fields).iter().for_each(|history| say!("\n{history}"));
            }
        }
        if found.is_empty() {
            return Ok(not_found(&view, "entry id, job id or label", &self.id));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn not_found(view: &View, what: &str, id: &str) -> ExitCode {
    eprintln!(
        "error: no dead letter with the {what} {id} in {}; it was replayed, purged, or is not dead \
         (see `postrider jobs show {id}`)",
        view.names()
    );
    ExitCode::from(1)
}

fn print(letters: &[DeadLetter], now: u64) {
    let rows: Vec<_> = letters
        .iter()
        .map(|letter| {
            let ago = Duration::from_millis(now.saturating_sub(letter.entry.millis));
            let columns = [format!("{} ago", brief(ago)), line(&letter.fields, "_reason", 20)];
            let (queue, job_id, fields) = (&letter.queue, letter.job_id.as_str(), &letter.fields);
            Listed { queue, job_id, fields, columns, note: line(fields, "_error", usize::MAX) }
        })
        .collect();
    listing::print(["DIED", "REASON"], "ERROR", &rows);
}

fn summary_json(letter: &DeadLetter) -> Value {
    let text = |name: &str| field(&letter.fields, name).map(|value| plain(value, 1_000));
    let own = json!({
        "entry": letter.entry.to_string(),
        "dead_at": letter.entry.millis,
        "died": time(letter.entry.millis),
        "reason": text("_reason"),
        "error": text("_error"),
    });
    listing::with(listing::summary(&letter.queue, &letter.job_id, &letter.fields), own)
}

fn whole_json(letter: &DeadLetter, reveal: bool) -> Value {
    let mut whole = summary_json(letter);
    let history = field(&letter.fields, "_history").and_then(|text| serde_json::from_slice(text).ok());
    whole["history"] = history.unwrap_or(Value::Null);
    whole["fields"] = fields_json(&letter.fields, reveal);
    whole
}
