//! `postrider dead`

mod list;
mod purge;
mod replay;
mod select;
mod summary;

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use postrider_queue::admin::DeadLetter;
use postrider_queue::job::Fields;
use serde_json::{Value, json};
use telemetry::Telemetry;

use super::attempts::{attempts_table, of_fields};
use super::listing;
use super::render::{field, fields_json, fields_table, host, last_outcome, line, plain, time};
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
            let letters: Vec<_> = found.iter().map(|letter| whole_json(letter, self.reveal)).collect();
            print_line!("{}", json!({ "dead": letters }));
        } else {
            for letter in &found {
                let DeadLetter { queue, entry, job_id, .. } = letter;
                print_line!("queue {queue}, dead letter {entry}, job id {job_id}");
                print_line!("{}", fields_table(&letter.fields, self.reveal));
                attempts_table(&of_fields(&letter.fields))
                    .iter()
                    .for_each(|history| print_line!("\n{history}"));
            }
        }
        if found.is_empty() {
            not_found(&view, "entry id, job id or label", &self.id);
            return Ok(ExitCode::from(1));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The error in the words that its other columns do not say.
fn error(fields: &Fields) -> String {
    let error = line(fields, "_error", usize::MAX);
    let last = error.split_once(" was the last: ").filter(|(attempt, _)| attempt.starts_with("attempt "));
    let error = last.map_or(error.as_str(), |(_, error)| error);
    let host = host(fields).map(|(host, _)| format!("{host}:"));
    match error.split_once(": ") {
        Some((destination, rest)) if host.is_some_and(|host| destination.starts_with(&host)) => {
            rest.to_owned()
        }
        _ => error.to_owned(),
    }
}

fn not_found(view: &View, what: &str, id: &str) {
    eprintln!(
        "error: no dead letter with the {what} {id} in {}; it was replayed, purged, or is not dead \
         (see `postrider jobs show {id}`)",
        view.names()
    );
}

fn summary_json(letter: &DeadLetter) -> Value {
    let text = |name: &str| field(&letter.fields, name).map(|value| plain(value, 1_000));
    let own = json!({
        "entry": letter.entry.to_string(),
        "dead_at": letter.entry.millis,
        "died": time(letter.entry.millis),
        "reason": text("_reason"),
        "status": last_outcome(&letter.fields).and_then(|outcome| outcome.parse::<u16>().ok()),
        "error": text("_error"),
    });
    listing::with(listing::summary(&letter.queue, &letter.job_id, &letter.fields), own)
}

pub(super) fn whole_json(letter: &DeadLetter, reveal: bool) -> Value {
    let mut whole = summary_json(letter);
    let history = field(&letter.fields, "_history").and_then(|text| serde_json::from_slice(text).ok());
    whole["history"] = history.unwrap_or(Value::Null);
    whole["fields"] = fields_json(&letter.fields, reveal);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_repeat_the_other_columns() {
        let of = |text: &'static str| {
            error(&vec![("url".into(), "http://H.test/x".into()), ("_error".into(), text.into())])
        };
        let last = "attempt 3 of 3 was the last: ";
        let text = |text: &str| Box::leak(format!("{last}{text}").into_boxed_str()) as &'static str;
        assert_eq!(of(text("the destination answered 503")), "the destination answered 503");
        assert_eq!(of(text("h.test:80: the request failed")), "the request failed");
        assert_eq!(of("other.test:80: no"), "other.test:80: no");
        assert_eq!(
            of("field `url`: the port must be 1 to 65535"),
            "field `url`: the port must be 1 to 65535"
        );
    }
}
