//! `postrider jobs`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use postrider_queue::admin::{Cancelled, FoundJob, Place, Replayed, State};
use serde_json::{Value, json};
use telemetry::Telemetry;

use super::render::{
    brief, count, fields_json, fields_table, history_table, line, method, plain, table, time, url,
};
use super::results;
use super::target::{LookArgs, View};

/// List and show live jobs, cancel them, or run them now
///
/// ID is the job id that `send` prints, the id of the job's entry in the stream, or its label. A job id is found at
/// once; a label is searched among at most 10,000 entries and 10,000 waiting jobs of each queue. Exit code 1: there
/// is no such job, or the change failed.
#[derive(Debug, Args)]
pub(super) struct JobsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    Show(ShowArgs),
    /// Cancel a job: it is dead-lettered with the reason `cancelled`
    ///
    /// The request of a running job may have been sent already.
    Cancel(ActArgs),
    /// Run a scheduled or held job now
    RunNow(ActArgs),
}

/// List jobs: running, ready, scheduled by due time, then held
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Only jobs in this state
    #[arg(long, value_enum)]
    state: Option<Only>,
    /// At most this many of each queue
    #[arg(long, default_value = "20", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// Print one JSON object per line, one for each job
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Only {
    Ready,
    Running,
    Scheduled,
    Held,
}

/// Show a job with all its fields, or its result while it is kept; possible secrets are masked
#[derive(Debug, Args)]
struct ShowArgs {
    /// The job id, entry id or label
    id: String,
    #[command(flatten)]
    look: LookArgs,
    /// Print one JSON document: the list `jobs`, `cut` if the search was incomplete, and the list `results`
    #[arg(long)]
    json: bool,
    /// Show secrets, too
    #[arg(long)]
    reveal: bool,
}

// It has no doc comment, which would replace those of the commands.
#[derive(Debug, Args)]
struct ActArgs {
    /// The job id, entry id or label
    id: String,
    #[command(flatten)]
    look: LookArgs,
    /// Apply to all jobs with this label, if there are several
    #[arg(long)]
    all: bool,
    /// Print one JSON document: the list `jobs` with the `outcome` of each, and `cut` if the search was incomplete
    #[arg(long)]
    json: bool,
}

/// An action on a job.
#[derive(Clone, Copy)]
enum Act {
    Cancel,
    RunNow,
}

impl JobsArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Command::List(args) => args.run(telemetry).await,
            Command::Show(args) => args.run(telemetry).await,
            Command::Cancel(args) => args.run(telemetry, Act::Cancel).await,
            Command::RunNow(args) => args.run(telemetry, Act::RunNow).await,
        }
    }
}

impl ListArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let state = self.state.map(|state| match state {
            Only::Ready => State::Ready,
            Only::Running => State::Running,
            Only::Scheduled => State::Scheduled,
            Only::Held => State::Held,
        });
        let (mut jobs, mut cut) = (Vec::new(), false);
        for queue in &view.queues {
            let listing = view.inspector.list(queue, state, self.limit.into()).await?;
            jobs.extend(listing.jobs);
            cut |= listing.cut;
        }
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if self.json {
            jobs.iter().for_each(|job| say!("{}", summary_json(job)));
        } else {
            say!("{}", jobs_table(&jobs, now));
        }
        if cut {
            eprintln!("note: there are more; --limit shows up to 10000 of each queue");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ShowArgs {
    async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let (jobs, cut) = find(&view, &self.id).await?;
        let mut whole = Vec::new();
        for job in jobs {
            // A job that has moved since is shown as it was found.
            whole.push(view.inspector.whole(&job).await?.unwrap_or(job));
        }
        let mut results = Vec::new();
        for queue in &view.queues {
            let result = view.inspector.result(queue, &self.id).await?;
            results.extend(result.map(|result| (queue, result)));
        }
        let found_results = results.len();
        let now = view.inspector.now().await?;
        view.inspector.close().await;
        if self.json {
            let jobs: Vec<_> = whole.iter().map(|job| whole_json(job, self.reveal)).collect();
            let results: Vec<_> = results.iter().map(|(_, result)| result).collect();
            say!("{}", json!({"jobs": jobs, "cut": cut, "results": results}));
        } else {
            for (queue, result) in &results {
                say!("queue {queue}, job id {}: {}", self.id, results::line(result));
                results::answer(result).iter().for_each(|answer| say!("{answer}"));
            }
            for job in &whole {
                say!("queue {}, job id {}: {}", job.queue, job.id, state_text(job, now));
                say!("{}", fields_table(&job.fields, self.reveal));
                history_table(&job.fields).iter().for_each(|history| say!("\n{history}"));
            }
        }
        Ok(said_where(&view, &self.id, whole.len() + found_results, cut))
    }
}

impl ActArgs {
    async fn run(self, telemetry: &Telemetry, act: Act) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let (jobs, cut) = find(&view, &self.id).await?;
        if jobs.len() > 1 && !self.all {
            let now = view.inspector.now().await?;
            say!("{}", jobs_table(&jobs, now));
            eprintln!(
                "error: {} match {}, and nothing was changed; give the job id of one, or --all",
                count(jobs.len(), "job", "jobs"),
                self.id
            );
            return Ok(ExitCode::from(1));
        }
        let (mut rows, mut done) = (Vec::new(), true);
        for job in &jobs {
            let outcome = act.on(&view, job).await?;
            done &= outcome.ok;
            if !self.json {
                say!("{}  {}", job.id, outcome.text);
            }
            rows.push(json!({
                "queue": job.queue.to_string(), "job_id": job.id, "outcome": outcome.name,
                "entry": outcome.entry,
            }));
        }
        view.inspector.close().await;
        if self.json {
            say!("{}", json!({"jobs": rows, "cut": cut}));
        }
        let found = said_where(&view, &self.id, jobs.len(), cut);
        Ok(if done { found } else { ExitCode::from(1) })
    }
}

/// The outcome of a change.
struct Outcome {
    ok: bool,
    name: &'static str,
    text: String,
    entry: Option<String>,
}

impl Outcome {
    fn done(name: &'static str, text: &str) -> Self {
        Self { ok: true, name, text: text.to_owned(), entry: None }
    }

    fn not(name: &'static str, text: &str) -> Self {
        Self { ok: false, ..Self::done(name, text) }
    }
}

impl Act {
    /// A job may move while the command runs, so it is searched again.
    async fn on(self, view: &View, job: &FoundJob) -> Result<Outcome, Box<dyn Error>> {
        const TRIES: usize = 3;
        let mut job = job.clone();
        for _ in 1..TRIES {
            let outcome = self.once(view, &job).await?;
            if outcome.name != "gone" {
                return Ok(outcome);
            }
            let again = view.inspector.find(&job.queue, &job.id).await?.jobs;
            match again.into_iter().find(|found| found.id == job.id) {
                Some(found) => job = found,
                None => return Ok(outcome),
            }
        }
        self.once(view, &job).await
    }

    async fn once(self, view: &View, job: &FoundJob) -> Result<Outcome, Box<dyn Error>> {
        const GONE: &str = "is gone: it was delivered, dead-lettered or cancelled in the meantime";
        match self {
            Self::Cancel => Ok(match view.inspector.cancel(job).await? {
                Cancelled::Before => Outcome::done("cancelled", "cancelled; it is a dead letter now"),
                Cancelled::WhileRunning => Outcome::done(
                    "cancelled_while_running",
                    "cancelled while it was running: its request may have been sent",
                ),
                Cancelled::Gone => Outcome::not("gone", GONE),
                Cancelled::Unmovable => Outcome::not(
                    "unmovable",
                    "has more than 512 fields and cannot be moved; a worker will dead-letter it as malformed",
                ),
            }),
            Self::RunNow => match &job.place {
                Place::Scheduled(_) | Place::Held { .. } => Ok(match view.inspector.run_now(job).await? {
                    Replayed::As(entry) => {
                        let entry = Some(entry.to_string());
                        Outcome { entry, ..Outcome::done("ready", "is ready now") }
                    }
                    Replayed::Gone => Outcome::not("gone", GONE),
                    Replayed::NoJob => {
                        Outcome::not("unreadable", "cannot be read; it is dead-lettered when it is due")
                    }
                }),
                Place::Ready(_) => {
                    Ok(Outcome::not("not_waiting", "is neither scheduled nor held: it is ready"))
                }
                Place::Running { .. } => {
                    Ok(Outcome::not("not_waiting", "is neither scheduled nor held: it is running"))
                }
            },
        }
    }
}

async fn find(view: &View, id: &str) -> Result<(Vec<FoundJob>, bool), Box<dyn Error>> {
    let (mut jobs, mut cut) = (Vec::new(), false);
    for queue in &view.queues {
        let search = view.inspector.find(queue, id).await?;
        jobs.extend(search.jobs);
        cut |= search.cut;
    }
    Ok((jobs, cut))
}

/// Prints where the command has searched, unless all is well.
fn said_where(view: &View, id: &str, found: usize, cut: bool) -> ExitCode {
    if cut {
        eprintln!(
            "note: the search stopped after 10000 entries or waiting jobs of a queue; there may be more. A job id \
             is found directly"
        );
    }
    if found > 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "error: no job with the job id, entry id or label {id} is ready, running, scheduled or held in {}; it was \
         delivered, is dead (see `postrider dead show {id}`), or is in another queue",
        view.names()
    );
    ExitCode::from(1)
}

fn state_name(job: &FoundJob) -> &'static str {
    match job.place {
        Place::Ready(_) => "ready",
        Place::Running { .. } => "running",
        Place::Scheduled(_) => "scheduled",
        Place::Held { .. } => "held",
    }
}

fn state_text(job: &FoundJob, now: u64) -> String {
    let millis = Duration::from_millis;
    match &job.place {
        Place::Ready(_) => "ready".to_owned(),
        Place::Running { worker, deliveries, .. } => {
            let worker = plain(worker.as_bytes(), 100);
            let again = if *deliveries > 1 { format!(", delivery {deliveries}") } else { String::new() };
            format!("running, on {worker}{again}")
        }
        Place::Held { name, .. } => format!("held, for {}", plain(name.as_bytes(), 100)),
        Place::Scheduled(None) => "scheduled, without a time".to_owned(),
        Place::Scheduled(Some(due)) if *due <= now => "scheduled, due".to_owned(),
        Place::Scheduled(Some(due)) => format!("scheduled, due in {}", brief(millis(due - now))),
    }
}

fn jobs_table(jobs: &[FoundJob], now: u64) -> comfy_table::Table {
    table(
        ["QUEUE", "JOB ID", "LABEL", "STATE", "ATTEMPTS", "METHOD", "URL"],
        jobs.iter().map(|job| {
            [
                job.queue.to_string(),
                plain(job.id.as_bytes(), 128),
                line(&job.fields, "label", 40),
                state_text(job, now),
                line(&job.fields, "_attempt", 5),
                method(&job.fields),
                plain(url(&job.fields).as_bytes(), 80),
            ]
        }),
    )
}

fn summary_json(job: &FoundJob) -> Value {
    let text = |name: &str| super::render::field(&job.fields, name).map(|value| plain(value, 200));
    let (mut entry, mut worker, mut due, mut flow) = (None, None, None, None);
    match &job.place {
        Place::Ready(id) => entry = Some(id.to_string()),
        Place::Running { entry: id, worker: holder, .. } => {
            (entry, worker) = (Some(id.to_string()), Some(holder.clone()));
        }
        Place::Scheduled(at) => due = *at,
        Place::Held { name, .. } => flow = Some(plain(name.as_bytes(), 300)),
    }
    json!({
        "queue": job.queue.to_string(),
        "job_id": job.id,
        "label": text("label"),
        "state": state_name(job),
        "entry": entry,
        "worker": worker,
        "held_for": flow,
        "due_at": due,
        "due": due.map(time),
        "attempts": text("_attempt").and_then(|attempts| attempts.parse::<u32>().ok()).unwrap_or(0),
        "method": method(&job.fields),
        "url": url(&job.fields),
    })
}

fn whole_json(job: &FoundJob, reveal: bool) -> Value {
    let mut whole = summary_json(job);
    whole["fields"] = fields_json(&job.fields, reveal);
    whole
}
