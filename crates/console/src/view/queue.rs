//! A queue, and its workers.

use postrider_queue::admin::{Life, Pauses, ShardName, Survey, SurveyedConsumer};
use serde::Serialize;
use utoipa::ToSchema;

use super::pause::PauseView;
use super::text::plain;

/// The contents of a shard of a queue at one instant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueView {
    /// The queue, and its shard if that is not the first: `mail`, `mail/1`.
    pub queue: String,
    /// Jobs in the stream, for any worker.
    pub ready: u64,
    /// Jobs in flight at a worker.
    pub running: u64,
    /// Jobs that wait for a time.
    pub scheduled: u64,
    /// Jobs that their flows hold, or that wait for their turns.
    pub held: u64,
    /// Of these, jobs that wait for their turns: earlier jobs of their order keys have not ended.
    pub in_line: u64,
    /// Dead letters that stop the later jobs of their order keys.
    pub stopped_keys: u64,
    /// Jobs that are scheduled, held by flows, or orphaned.
    pub waiting: u64,
    /// Dead letters of jobs.
    pub dead: u64,
    /// Entries that were no jobs. They are listed with the dead letters, with the reason `malformed`.
    pub rejected: u64,
    /// The pause of the queue; null if it is not paused.
    pub paused: Option<PauseView>,
    /// The age of the first ready job, ms; null if there is none, or its time is not known.
    pub oldest_ms: Option<u64>,
    /// How many workers have sent a heartbeat within a lease.
    pub workers_alive: usize,
    /// The workers.
    pub workers: Vec<WorkerView>,
    /// The errors of counts that failed.
    pub faults: Vec<String>,
}

/// A worker of a queue.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Whether its last heartbeat is at most a lease old.
    pub alive: bool,
    /// `alive`; `silent`: the worker was killed or hangs, and others take over its jobs; `gone`.
    pub state: &'static str,
    /// How many jobs it has in flight.
    pub pending: u64,
    /// Time since its last heartbeat, ms.
    pub seen_ms_ago: Option<u64>,
    /// Its lease, ms.
    pub lease_ms: Option<u64>,
    /// Its version.
    pub version: Option<String>,
    /// What is wrong with it although it works, in sentences.
    pub warnings: Vec<String>,
}

impl QueueView {
    /// Of a survey.
    pub fn new(queue: &ShardName, survey: &Survey, pauses: &Pauses) -> Self {
        Self {
            queue: queue.to_string(),
            ready: survey.ready,
            running: survey.in_flight,
            scheduled: survey.scheduled,
            held: survey.all_held(),
            in_line: survey.lines.waiting,
            stopped_keys: survey.lines.stopped,
            waiting: survey.waiting,
            dead: survey.dead,
            rejected: survey.rejected,
            paused: pauses.queue(&queue.queue).map(PauseView::new),
            oldest_ms: survey.oldest_ms,
            workers_alive: survey.consumers.iter().filter(|worker| worker.alive()).count(),
            workers: survey.consumers.iter().map(WorkerView::new).collect(),
            faults: survey.faults.clone(),
        }
    }
}

impl WorkerView {
    fn new(worker: &SurveyedConsumer) -> Self {
        Self {
            name: worker.name.clone(),
            alive: worker.alive(),
            state: life(worker),
            pending: worker.pending,
            seen_ms_ago: worker.seen_ms,
            lease_ms: worker.lease_ms,
            version: worker.version.clone(),
            warnings: worker.warnings.iter().map(|warning| plain(warning.as_bytes(), 300)).collect(),
        }
    }
}

/// The word for a worker's state.
pub fn life(worker: &SurveyedConsumer) -> &'static str {
    match worker.life() {
        Life::Alive => "alive",
        Life::Silent => "silent",
        Life::Gone => "gone",
    }
}
