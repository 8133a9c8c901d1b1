//! `postrider jobs`

mod by_hand;
mod show;

use std::error::Error;
use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Args, Subcommand};
use postrider_console::view::{JobView, brief, state_name, waits_for};
use postrider_queue::admin::{FoundJob, Listing, Place, ShardName, State};
use serde_json::json;
use telemetry::Telemetry;

use super::listing::{self, Listed};
use super::target::{LookArgs, View};

/// List and show live jobs, cancel them, or run them now
///
/// ID is the job id that `send` prints, the id of the job's entry in the stream, or its label. The job id of a
/// job that waits, or has not waited yet, is looked up at once; all else is searched for among at most a million entries and a
/// million waiting jobs of each queue. Exit code 1: there is no such job, or the change failed.
#[derive(Debug, Args)]
pub(super) struct JobsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    Show(show::ShowArgs),
    /// Cancel a job: it is dead-lettered with the reason `cancelled`
    ///
    /// The request of a running job may have been sent already.
    Cancel(by_hand::ActionArgs),
    /// Run a scheduled or held job now
    RunNow(by_hand::ActionArgs),
}

/// List jobs: running, ready, scheduled by due time, then held
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Only jobs in this state
    #[arg(long, value_parser = StateParser, value_name = "STATE")]
    state: Option<State>,
    /// Only jobs with this order key, in their order
    #[arg(long, value_name = "KEY", conflicts_with = "state")]
    order: Option<String>,
    /// At most this many of each queue
    #[arg(long, default_value = "20", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// Print one JSON object per line, one for each job
    #[arg(long)]
    json: bool,
}

/// The states, which help and completions list. `dead` has another command.
#[derive(Clone)]
struct StateParser;

impl TypedValueParser for StateParser {
    type Value = State;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<State, clap::Error> {
        state.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(STATES.iter().map(|(name, _)| PossibleValue::new(*name))))
    }
}

const STATES: [(&str, State); 4] = [
    ("ready", State::Ready),
    ("running", State::Running),
    ("scheduled", State::Scheduled),
    ("held", State::Held),
];

fn state(text: &str) -> Result<State, &'static str> {
    let found = STATES.iter().find(|(name, _)| *name == text).map(|(_, state)| *state);
    found.ok_or(match text {
        "dead" => "dead letters are listed by `postrider dead list`",
        _ => "write ready, running, scheduled or held",
    })
}

impl JobsArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Command::List(args) => args.run(telemetry).await,
            Command::Show(args) => args.run(telemetry).await,
            Command::Cancel(args) => args.run(telemetry, by_hand::Action::Cancel).await,
            Command::RunNow(args) => args.run(telemetry, by_hand::Action::RunNow).await,
        }
    }
}

impl ListArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let (mut jobs, mut has_more) = (Vec::new(), false);
        for (_, listing) in view.each(async |queue| self.list(&view, queue).await).await? {
            jobs.extend(listing.jobs);
            has_more |= listing.has_more;
        }
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if self.json {
            jobs.iter().for_each(|job| print_line!("{}", json!(JobView::new(job))));
        } else {
            print(&jobs, now);
        }
        if has_more {
            eprintln!("note: there are more; --limit shows up to 10000 of each queue");
        }
        Ok(view.code())
    }
}

impl ListArgs {
    async fn list(&self, view: &View, queue: &ShardName) -> Result<Listing, postrider_queue::Error> {
        let limit = usize::from(self.limit);
        let Some(key) = &self.order else { return view.inspector.list(queue, self.state, limit).await };
        let mut jobs = view.inspector.line(queue, key, limit + 1).await?;
        let has_more = jobs.len() > limit;
        jobs.truncate(limit);
        Ok(Listing { jobs, has_more })
    }
}

async fn find(view: &View, id: &str) -> Result<(Vec<FoundJob>, bool), Box<dyn Error>> {
    let (mut jobs, mut is_incomplete) = (Vec::new(), false);
    for (_, search) in view.each(async |queue| view.inspector.find(queue, id).await).await? {
        jobs.extend(search.jobs);
        is_incomplete |= search.is_incomplete;
    }
    Ok((jobs, is_incomplete))
}

/// Prints where the command has searched, unless all is well.
fn report_not_found(view: &View, id: &str, found: usize, is_incomplete: bool) -> ExitCode {
    if is_incomplete {
        eprintln!(
            "note: the search stopped after 100000 entries or waiting jobs of a queue; there may be more. A job id \
             is found directly"
        );
    }
    if found > 0 {
        return view.code();
    }
    eprintln!(
        "error: no job with the job id, entry id or label {id} is ready, running, scheduled or held in {}; it was \
         delivered, is dead (see `postrider dead show {id}`), or is in another queue",
        view.names()
    );
    ExitCode::from(1)
}

pub(super) fn state_text(job: &FoundJob, now: u64) -> String {
    match &job.place {
        Place::Ready(_) => "ready".to_owned(),
        Place::Running { .. } | Place::Held { .. } | Place::InLine { .. } => {
            format!("{}, {}", state_name(job), waits_for(job))
        }
        Place::Scheduled(None) => "scheduled, without a time".to_owned(),
        Place::Scheduled(Some(due)) if *due <= now => "scheduled, due".to_owned(),
        Place::Scheduled(Some(due)) => format!("scheduled, in {}", brief(Duration::from_millis(due - now))),
    }
}

fn print(jobs: &[FoundJob], now: u64) {
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            let note = waits_for(job);
            let state = if note.is_empty() { state_text(job, now) } else { state_name(job).to_owned() };
            Listed { queue: &job.queue, job_id: &job.id, fields: &job.fields, columns: [state], note }
        })
        .collect();
    listing::print(["STATE"], "WAITS", &rows);
}
