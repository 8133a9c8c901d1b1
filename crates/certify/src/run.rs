//! Executes the plan: starts everything, takes the steps at their times, and waits until the queues are empty.

mod around;
mod disturb;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::account::{Accounting, Records};
use super::error::CertifyError;
use super::faults::Faults;
use super::options::{LEASE, Options};
use super::order::{self, Disorder};
use super::places;
use super::plan::{self, Action};
use super::producer::Producer;
use super::report::{Machine, Report, ServerFacts};
use super::server::Claimed;
use super::ticks::TickAccount;
use super::workers::Workers;
use around::Around;

/// Every waiting job is due or expires within half a minute. The rest of the time is for a loaded machine, on which a long
/// run leaves a backlog.
const DRAIN_DEADLINE_MIN: Duration = Duration::from_secs(120);
/// How often the workers are looked at.
const LOOK_INTERVAL: Duration = LEASE.checked_div(10).expect("10 is not 0");

/// How far a run is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Since the first job.
    pub elapsed: Duration,
    /// Jobs that were sent.
    pub enqueued: u64,
    /// Requests that have succeeded.
    pub succeeded: u64,
    /// Workers that were killed.
    pub kills: u64,
    /// Jobs that are left, when no more are enqueued.
    pub left: Option<u64>,
}

/// Runs a plan on a server, accounts for every job, and removes everything that it had there.
///
/// # Errors
/// [`CertifyError`], if the server is not one for a run, or the run is stopped. A broken promise is none: the report has it.
pub async fn run(
    options: &Options,
    stop: CancellationToken,
    progress: watch::Sender<Progress>,
) -> Result<Report, CertifyError> {
    let claimed = Box::pin(Claimed::begin(options)).await?;
    let result = Box::pin(run_claimed(options, &claimed, &stop, &progress)).await;
    let released = Box::pin(claimed.release(&options.redis_url)).await;
    // Keys that are left matter more than why the run has ended.
    released.and(result)
}

async fn run_claimed(
    options: &Options,
    claimed: &Claimed,
    stop: &CancellationToken,
    progress: &watch::Sender<Progress>,
) -> Result<Report, CertifyError> {
    let (caught_by, caught) = mpsc::channel(options.workers.max(1) * 4);
    let mut workers = Workers::new(options, &claimed.upstream, &caught_by).await?;
    let result = {
        let run = Run {
            options,
            claimed,
            workers: &mut workers,
            caught,
            faults: Faults::default(),
            failovers: Vec::new(),
            taken: BTreeMap::new(),
            skipped: BTreeMap::new(),
            progress,
        };
        tokio::select! {
            result = Box::pin(run.execute()) => result,
            () = stop.cancelled() => Err(CertifyError::Interrupted),
        }
    };
    workers.end().await;
    result
}

struct Run<'a> {
    options: &'a Options,
    claimed: &'a Claimed,
    workers: &'a mut Workers,
    /// The workers that have come to the call at which they are to be killed.
    caught: mpsc::Receiver<usize>,
    faults: Faults,
    /// When each failover was asked for that takes place.
    failovers: Vec<Instant>,
    /// How often each action was taken.
    taken: BTreeMap<String, u64>,
    /// What was not done, and why.
    skipped: BTreeMap<&'static str, String>,
    progress: &'a watch::Sender<Progress>,
}

impl Run<'_> {
    async fn execute(mut self) -> Result<Report, CertifyError> {
        let began_at = jiff::Timestamp::try_from(SystemTime::now())
            .map_or_else(|_| String::new(), |now| format!("{now:.0}"));
        let plan = plan::plan(self.options);
        let (claimed, options) = (self.claimed, self.options);
        let mut around = Around::start(options, claimed).await?;
        self.workers.start_all().await?;
        let (start, producer) = (Instant::now(), around.produce(options, claimed).await?);
        for step in &plan {
            self.wait_until(start, start + step.at, &around, &producer).await?;
            self.take(step.action).await?;
        }
        self.wait_until(start, start + options.time, &around, &producer).await?;
        self.workers.start_all().await?;
        let produced = producer.stop().await;
        around.end_ticks(options).await?;
        let deadline = DRAIN_DEADLINE_MIN.max(options.time / 2);
        let drained = self.drain(start, deadline).await?;
        if drained.is_none() {
            self.workers.stop().await;
        }
        let took = start.elapsed();
        let ended = around.end().await?;
        self.faults.0.extend(ended.seen.iter().copied());
        self.faults.begin_failovers(&self.failovers);
        self.faults.0.sort_by_key(|fault| fault.from);
        let (jobs, letters) = (&ended.jobs, &ended.letters);
        let (enqueued, visits, faults) = (&*produced.jobs, &*ended.visits, &self.faults);
        let records = Records { jobs, enqueued, visits, letters, faults };
        let mut accounting = Accounting::close(&records, start, took);
        if let Some(left) = drained {
            let logs = self.workers.logs();
            accounting.problem(format!("not drained within {deadline:?}: {left}\n{logs}"));
        }
        let Disorder { explained, problems } = order::check(jobs, enqueued, visits, faults);
        (accounting.account.late, accounting.account.repeated) = (explained, produced.repeated);
        let TickAccount { made, lost, problems: of_ticks } = ended.ticks.account(faults);
        accounting.account.ticks = made;
        accounting.account.lost += lost;
        let of_workers = self.workers.problems.clone();
        let twice = produced.twice.into_iter().filter(|(at, _)| !faults.may_lose(*at, *at + LEASE));
        let of_keys = twice.map(|(_, text)| text).collect();
        let others = [of_workers, problems, of_ticks, of_keys, ended.letters.problems.clone()];
        accounting.problems_first(others.into_iter().flatten().collect());
        Ok(self.report(accounting, began_at, took))
    }

    fn report(&self, accounting: Accounting<'_>, began_at: String, took: Duration) -> Report {
        let Accounting { account, timeline, problems, examples, all_problems, .. } = accounting;
        let (timeline, incidents) = timeline.end(&self.faults);
        let mut faults = self.taken.clone();
        if self.workers.false_starts > 0 {
            faults.insert("start of a worker without Redis".to_owned(), self.workers.false_starts);
        }
        for incident in &incidents {
            *faults.entry(incident.what.text().to_owned()).or_default() += 1;
        }
        Report {
            certified: all_problems == 0,
            version: env!("CARGO_PKG_VERSION"),
            began_at,
            seconds: took.as_secs_f64(),
            plan: self.options.clone(),
            server: ServerFacts::of(self.claimed),
            machine: Machine::read(),
            account,
            faults,
            kills: self.workers.kills.clone(),
            skipped: self.skipped.iter().map(|(what, why)| format!("{what}: {why}")).collect(),
            timeline,
            incidents,
            problems,
            examples,
        }
    }

    /// Kills what is caught, and does a supervisor's work, until this time.
    async fn wait_until(
        &mut self,
        start: Instant,
        time: Instant,
        around: &Around,
        producer: &Producer,
    ) -> Result<(), CertifyError> {
        loop {
            self.workers.restart_exited(&mut self.faults).await?;
            self.progress.send_replace(Progress {
                elapsed: start.elapsed(),
                enqueued: producer.count(),
                succeeded: around.book.successes(),
                kills: self.workers.kills.values().sum(),
                left: None,
            });
            let left = time.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.kill_caught(left.min(LOOK_INTERVAL)).await;
        }
    }

    /// For this time, kills workers that have come to the call at which they are to be killed.
    async fn kill_caught(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while let Ok(Some(worker)) = tokio::time::timeout_at(end, self.caught.recv()).await {
            self.workers.kill_at_trap(worker, &mut self.faults);
        }
    }

    async fn take(&mut self, action: Action) -> Result<(), CertifyError> {
        let (workers, faults) = (&mut *self.workers, &mut self.faults);
        let mut done = Ok(());
        match action {
            Action::Kill(worker) => workers.kill(worker, faults),
            Action::KillAt(worker, point) => workers.set_trap(worker, point),
            Action::Leave(worker) => workers.leave(worker),
            Action::Start(worker) => workers.start(worker).await?,
            Action::Pause(worker) => workers.pause(worker, faults),
            Action::Resume(worker) => workers.resume(worker, faults),
            Action::Cut(worker) => done = workers.cut(worker, &self.claimed.inspector, faults).await,
            Action::Break(worker, way) => done = workers.break_connections(worker, way, faults),
            Action::Mend(worker) => workers.mend(worker, faults),
            Action::FlushScripts => done = disturb::flush_scripts(self.claimed).await,
            Action::PauseQueue(queue) => done = disturb::pause(self.options, queue).await,
            Action::ResumeQueue(queue) => done = disturb::resume(self.options, queue).await,
            Action::FailOver(choice) => {
                let asked = Instant::now();
                done = disturb::fail_over(self.claimed, self.options, choice).await;
                self.failovers.extend(done.is_ok().then_some(asked));
            }
        }
        if let Some(name) = action.name() {
            match done {
                Ok(()) => *self.taken.entry(name.to_owned()).or_default() += 1,
                Err(why) => drop(self.skipped.entry(name).or_insert(why)),
            }
        }
        Ok(())
    }

    /// Waits until all queues are empty. Returns what is left at the deadline.
    async fn drain(&mut self, start: Instant, deadline: Duration) -> Result<Option<String>, CertifyError> {
        let end = Instant::now() + deadline;
        loop {
            self.workers.restart_exited(&mut self.faults).await?;
            let left = self.left().await;
            if let Ok((0, _)) = &left {
                return Ok(None);
            }
            let text = match left {
                Ok((jobs, text)) => {
                    self.progress.send_modify(|progress| {
                        (progress.elapsed, progress.left) = (start.elapsed(), Some(jobs));
                    });
                    text
                }
                Err(error) => error.details().to_owned(),
            };
            if Instant::now() >= end {
                return Ok(Some(text));
            }
            self.kill_caught(LOOK_INTERVAL).await;
        }
    }

    /// How many jobs are left, and where.
    async fn left(&self) -> Result<(u64, String), postrider_queue::Error> {
        let (mut all, mut text) = (0, Vec::new());
        for shard in places::shards() {
            let survey = self.claimed.inspector.survey(&shard, 0).await?;
            let jobs = survey.ready + survey.in_flight + survey.waiting + survey.lines.waiting;
            all += jobs;
            if jobs > 0 {
                text.push(format!(
                    "{shard}: {} ready, {} running, {} waiting, {} in line",
                    survey.ready, survey.in_flight, survey.waiting, survey.lines.waiting
                ));
            }
        }
        Ok((all, text.join("; ")))
    }
}
