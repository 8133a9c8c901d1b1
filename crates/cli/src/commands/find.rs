//! `postrider find`

use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use postrider_console::view::{DeadView, JobView, LogView, line, method, time, url, why_waiting};
use postrider_queue::JobResult;
use postrider_queue::admin::{DeadLetter, FoundJob, LogSearch, LoggedJob, ShardName, is_of_wrong_type};
use serde_json::{Value, json};
use telemetry::Telemetry;

use super::jobs::state_text;
use super::target::{LookArgs, View};
use super::terminal::{self, wrapped};
use super::trace_url::{TraceLinks, TraceUrl};
use super::{attempts, logged, results};

/// Find what happened to a job: among live jobs, dead letters, results and the delivery log
///
/// Prints the state of each job, and its attempts with their phases. Jobs that have ended are in the delivery log of their queue,
/// which `[results] keep` switches on in the worker's configuration; without it, a delivered job is found only by its job id,
/// and only if its result is kept (`result_ttl_ms`). Searches a million entries and a million waiting jobs of each queue, all dead
/// letters, and the delivery log up to 100 jobs. Exit code 1: nothing was found.
#[derive(Debug, Args)]
pub(super) struct FindArgs {
    /// Label, job id (also that of a job that was replayed), entry id or trace id
    id: String,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    trace_url: TraceUrl,
    /// Print one JSON document: the lists `jobs`, `dead`, `results` and `log`, and whether the search is `incomplete`
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Default)]
struct Found {
    /// Live jobs, and why each waits.
    jobs: Vec<(FoundJob, Option<String>)>,
    dead: Vec<DeadLetter>,
    results: Vec<(ShardName, String, JobResult)>,
    log: Vec<LoggedJob>,
    is_incomplete: bool,
}

const LOG_OFF: &str = "the delivery log is off; `[results] keep = \"1d\"` in the file of `postrider worker --config` keeps a record \
                       of each job that ends";

impl FindArgs {
    pub(super) async fn run(self, telemetry: &Telemetry) -> Result<ExitCode, Box<dyn Error>> {
        let links = self.trace_url.clone().links();
        let view = self.look.open(telemetry).await?;
        let found = self.search(&view).await?;
        let now = view.inspector.now().await?;
        let hint = if found.is_empty() { hint(&view).await? } else { None };
        view.inspector.close().await;
        if self.json {
            print_line!("{}", links.added_to(found.json(&self.id)));
        } else {
            found.print(now, &links);
        }
        if found.is_incomplete {
            eprintln!(
                "note: the search stopped after 100000 entries or waiting jobs of a queue, or 100 jobs of a delivery log; \
                 there may be more"
            );
        }
        if found.is_empty() {
            eprintln!(
                "error: nothing is known of {} in {}: it was delivered without a result that is kept, was purged, or is in \
                 another queue",
                self.id,
                view.names()
            );
            hint.iter().for_each(|hint| eprintln!("note: {hint}"));
            return Ok(ExitCode::from(1));
        }
        Ok(view.code())
    }

    async fn search(&self, view: &View) -> Result<Found, Box<dyn Error>> {
        let (inspector, mut found) = (&view.inspector, Found::default());
        let now = inspector.now().await?;
        let look = async |queue: &ShardName| {
            let search = inspector.find_about(queue, &self.id).await?;
            let dead = inspector.dead_about(queue, &self.id).await?;
            Ok((search, dead, self.search_log(view, queue).await?))
        };
        let mut ids = BTreeSet::from([self.id.clone()]);
        for (_, (search, dead, log)) in view.each(look).await? {
            found.is_incomplete |= search.is_incomplete | log.is_incomplete;
            ids.extend(log.jobs.iter().map(|job| job.record.job_id.to_string()));
            found.log.extend(log.jobs);
            ids.extend(search.jobs.iter().map(|job| job.id.clone()));
            ids.extend(dead.iter().map(|letter| letter.job_id.clone()));
            for job in search.jobs {
                let whole = inspector.whole(&job).await?.unwrap_or(job);
                let why = why_waiting(inspector, &whole, now).await?;
                found.jobs.push((whole, why));
            }
            found.dead.extend(dead);
        }
        for queue in &view.queues {
            for id in &ids {
                let result = inspector.result(queue, id).await?;
                found.results.extend(result.map(|result| (queue.clone(), id.clone(), result)));
            }
        }
        Ok(found)
    }

    /// A log of a wrong type hides nothing else.
    async fn search_log(&self, view: &View, queue: &ShardName) -> Result<LogSearch, postrider_queue::Error> {
        match view.inspector.logged_about(queue, &self.id).await {
            Err(error) if is_of_wrong_type(&error) => {
                view.name_wrong_keys(queue, "is searched in part").await?;
                Ok(LogSearch::default())
            }
            other => other,
        }
    }
}

/// How to find more the next time.
async fn hint(view: &View) -> Result<Option<&'static str>, postrider_queue::Error> {
    for queue in &view.queues {
        if view.inspector.has_log(queue).await? {
            return Ok(None);
        }
    }
    Ok(Some(LOG_OFF))
}

impl Found {
    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.dead.is_empty() && self.results.is_empty() && self.log.is_empty()
    }

    fn json(&self, id: &str) -> Value {
        let jobs: Vec<_> =
            self.jobs.iter().map(|(job, why)| JobView::whole(job, why.clone(), false)).collect();
        let dead: Vec<_> = self.dead.iter().map(|letter| DeadView::whole(letter, false)).collect();
        let results = self.results.iter().map(
            |(queue, job_id, result)| json!({"queue": queue.to_string(), "job_id": job_id, "result": result}),
        );
        let results: Vec<_> = results.collect();
        let log: Vec<_> = self.log.iter().map(LogView::new).collect();
        json!({"id": id, "jobs": jobs, "dead": dead, "results": results, "log": log, "incomplete": self.is_incomplete})
    }

    fn print(&self, now: u64, links: &TraceLinks) {
        for (job, why) in &self.jobs {
            let why = why.as_ref().map_or(String::new(), |why| format!(": {why}"));
            print(&job.queue, &job.id, &format!("{}{why}", state_text(job, now)), &job.fields, links);
        }
        for letter in &self.dead {
            let (died, reason) = (time(letter.entry.millis), line(&letter.fields, "_reason", 20));
            let text = format!("dead since {died}, {reason}: {}", line(&letter.fields, "_error", 1_000));
            print(&letter.queue, &letter.job_id, &text, &letter.fields, links);
        }
        for (queue, job_id, result) in &self.results {
            print_line!("queue {queue}, job id {job_id}: {}", results::line(result));
            results::answer(result).iter().for_each(|answer| print_line!("{answer}"));
            if self.log.iter().all(|job| job.record.job_id != *job_id) {
                attempts::print(&result.history);
                links.print(&result.history, result.trace_id.as_deref());
            }
        }
        // A dead letter shows the same, and more.
        let is_dead = |job: &&LoggedJob| self.dead.iter().any(|letter| letter.job_id == job.record.job_id);
        self.log.iter().filter(|job| !is_dead(job)).for_each(|job| logged::print(job, links));
    }
}

fn print(queue: &ShardName, job_id: &str, state: &str, fields: &postrider_queue::Fields, links: &TraceLinks) {
    let width = terminal::width();
    print_line!("{}", wrapped(&format!("queue {queue}, job id {job_id}: {state}"), "", width));
    let label = line(fields, "label", 128);
    let label = if label.is_empty() { label } else { format!(" (label {label})") };
    print_line!("{}", wrapped(&format!("{} {}{label}", method(fields), url(fields)), "    ", width));
    let attempts = attempts::of_fields(fields);
    attempts::print(&attempts);
    links.print_of(fields, &attempts);
}
