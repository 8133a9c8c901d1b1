//! `postrider jobs cancel` and `postrider jobs run-now`

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_queue::admin::{Cancelled, FoundJob, Place, Replayed};
use serde_json::json;
use telemetry::Telemetry;

use super::super::audit;
use super::super::render::count;
use super::super::target::{LookArgs, View};
use super::{find, print, report_not_found};

// It has no doc comment, which would replace those of the commands.
#[derive(Debug, Args)]
pub(super) struct ActionArgs {
    /// The job id, entry id or label
    id: String,
    #[command(flatten)]
    look: LookArgs,
    /// Apply to all jobs with this label, if there are several
    #[arg(long)]
    all: bool,
    /// Print one JSON document: the list `jobs` with the `outcome` of each, and whether the search is `incomplete`
    #[arg(long)]
    json: bool,
}

/// An action on a job.
#[derive(Clone, Copy)]
pub(super) enum Action {
    Cancel,
    RunNow,
}

impl ActionArgs {
    pub(super) async fn run(self, telemetry: &Telemetry, act: Action) -> Result<ExitCode, Box<dyn Error>> {
        let view = self.look.open(telemetry).await?;
        let (jobs, is_incomplete) = find(&view, &self.id).await?;
        if jobs.len() > 1 && !self.all {
            let now = view.inspector.now().await?;
            print(&jobs, now);
            eprintln!(
                "error: {} match {}, and nothing was changed; give the job id of one, or --all",
                count(jobs.len(), "job", "jobs"),
                self.id
            );
            return Ok(ExitCode::from(1));
        }
        let (mut rows, mut done, mut stopped) = (Vec::new(), true, Ok(()));
        let mut changed: BTreeMap<&str, u64> = BTreeMap::new();
        for job in &jobs {
            let outcome = match act.on(&view, job).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    stopped = Err(error);
                    break;
                }
            };
            done &= outcome.ok;
            *changed.entry(job.queue.queue.as_str()).or_default() += u64::from(outcome.ok);
            if !self.json {
                print_line!("{}  {}", job.id, outcome.text);
            }
            rows.push(json!({
                "queue": job.queue.to_string(), "job_id": job.id, "outcome": outcome.name,
                "entry": outcome.entry,
            }));
        }
        let subject = if let [job] = jobs.as_slice() { &job.id } else { &self.id };
        for (queue, count) in changed {
            audit::record(&view.inspector, act.name(), queue, subject, count).await;
        }
        view.inspector.close().await;
        stopped?;
        if self.json {
            print_line!("{}", json!({"jobs": rows, "incomplete": is_incomplete}));
        }
        let found = report_not_found(&view, &self.id, jobs.len(), is_incomplete);
        Ok(if done { found } else { ExitCode::from(1) })
    }
}

/// The outcome of a change.
struct ActionResult {
    ok: bool,
    name: &'static str,
    text: String,
    entry: Option<String>,
}

impl ActionResult {
    fn done(name: &'static str, text: &str) -> Self {
        Self { ok: true, name, text: text.to_owned(), entry: None }
    }

    fn not(name: &'static str, text: &str) -> Self {
        Self { ok: false, ..Self::done(name, text) }
    }
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::RunNow => "run_now",
        }
    }

    /// A job may move while the command runs, so it is searched again.
    async fn on(self, view: &View, job: &FoundJob) -> Result<ActionResult, Box<dyn Error>> {
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

    async fn once(self, view: &View, job: &FoundJob) -> Result<ActionResult, Box<dyn Error>> {
        const GONE: &str = "is gone: it was delivered, dead-lettered or cancelled in the meantime";
        match self {
            Self::Cancel => Ok(match view.inspector.cancel(job).await? {
                Cancelled::Before => ActionResult::done("cancelled", "cancelled; it is a dead letter now"),
                Cancelled::WhileRunning => ActionResult::done(
                    "cancelled_while_running",
                    "cancelled while it was running: its request may have been sent",
                ),
                Cancelled::Gone => ActionResult::not("gone", GONE),
                Cancelled::Unmovable => ActionResult::not(
                    "unmovable",
                    "has more than 512 fields and cannot be moved; a worker will dead-letter it as malformed",
                ),
            }),
            Self::RunNow => match &job.place {
                Place::Scheduled(_) | Place::Held { .. } => Ok(match view.inspector.run_now(job).await? {
                    Replayed::As(entry) => {
                        let entry = Some(entry.to_string());
                        ActionResult { entry, ..ActionResult::done("ready", "is ready now") }
                    }
                    Replayed::Gone => ActionResult::not("gone", GONE),
                    Replayed::NoJob => {
                        ActionResult::not("unreadable", "cannot be read; it is dead-lettered when it is due")
                    }
                }),
                Place::InLine { .. } => Ok(ActionResult::not(
                    "in_line",
                    "waits for its turn: earlier jobs of its order key have not ended",
                )),
                Place::Ready(_) => {
                    Ok(ActionResult::not("not_waiting", "is neither scheduled nor held: it is ready"))
                }
                Place::Running { .. } => {
                    Ok(ActionResult::not("not_waiting", "is neither scheduled nor held: it is running"))
                }
            },
        }
    }
}
