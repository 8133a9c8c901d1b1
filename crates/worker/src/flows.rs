//! The flows of a worker: how many attempts of each are under way, and which jobs must wait.

mod expected;
mod flow;
mod held;
mod share;
mod silence;
#[cfg(test)]
mod simulation;
mod table;
mod waiting;
mod window;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use postrider_queue::job::FlowId;
use tokio::sync::Notify;

pub(crate) use held::Held;
pub(crate) use window::{GRACE, Verdict};

use silence::AttemptKey;
use table::{Decision, Table};

/// All flows that a worker knows. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Flows(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: usize,
    table: Mutex<Table>,
    /// The flows that hold jobs, for each shard.
    held: Mutex<Vec<Arc<Held>>>,
    /// Jobs that wait in their slots for room.
    waiting_in_slots: AtomicUsize,
}

/// Position of a job among the jobs of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The flow holds no jobs.
    Free,
    /// The flow holds other jobs, which return at the end of the stream.
    Behind,
    /// The job was held, and is admitted.
    Admitted,
}

/// Number of flows in each state of their breaker, as far as this worker knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Breakers {
    /// Attempts are made.
    pub closed: u64,
    /// No attempts are made.
    pub open: u64,
    /// The pause is over; one attempt is made as a trial.
    pub half_open: u64,
}

/// Whether an attempt may begin.
pub(crate) enum Entry {
    /// The attempt has begun.
    Go(Pass),
    /// The limit is reached. Waiters are notified when an attempt ends, which is soon for a brisk flow.
    Full { room: Arc<Notify>, is_brisk: bool },
    /// Attempts whose destinations do not answer hold their whole share of the slots.
    Crowded,
    /// The breaker is open for this time.
    Open(Duration),
    /// The breaker was open. Redis decides which worker makes the trial.
    Trial,
}

/// An attempt under way. Dropping it ends the attempt.
#[derive(Debug)]
pub(crate) struct Pass {
    flows: Flows,
    /// The attempt's flow.
    pub(crate) id: FlowId,
    key: AttemptKey,
    /// Whether Redis counts it.
    pub(crate) is_counted: bool,
    /// Whether it is a trial. Any result of a trial is reported to Redis.
    pub(crate) is_trial: bool,
    verdict: Option<Verdict>,
}

impl Pass {
    /// Sets the result.
    pub(crate) fn end(&mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut table = self.flows.lock();
        table.leave(self.key, self.verdict, Instant::now());
        if self.is_counted {
            table.uncount(self.id);
        }
    }
}

/// The right of a job to wait in its slot for room. Few have it at once, since they keep others from the slots.
#[derive(Debug)]
pub(crate) struct Wait(Flows);

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.0.waiting_in_slots.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Flows {
    /// The flows of a worker with this number of slots.
    pub(crate) fn new(slots: usize) -> Self {
        Self(Arc::new(Shared {
            slots,
            table: Mutex::new(Table::new(slots, Instant::now())),
            held: Mutex::default(),
            waiting_in_slots: AtomicUsize::new(0),
        }))
    }

    /// Adds a shard. Returns the set of flows that hold its jobs.
    pub(crate) fn join(&self) -> Arc<Held> {
        let held = Arc::new(Held::default());
        self.held().push(held.clone());
        held
    }

    /// The flow may have room: notifies one shard with held jobs of the flow. The shard is chosen at random,
    /// so that none waits for ever.
    pub(crate) fn want(&self, id: FlowId) {
        let shards = self.held();
        let (before, from) = shards.split_at(fastrand::usize(..shards.len().max(1)).min(shards.len()));
        if let Some(held) = from.iter().chain(before).find(|held| held.contains(id)) {
            held.want(id);
        }
    }

    /// Counts the flows in each breaker state.
    pub(crate) fn breakers(&self) -> Breakers {
        let now = Instant::now();
        let mut breakers = Breakers::default();
        for (_, flow) in self.lock().all() {
            match flow.open_until {
                None => breakers.closed += 1,
                Some(until) if until > now => breakers.open += 1,
                Some(_) => breakers.half_open += 1,
            }
        }
        breakers
    }

    /// Begins an attempt if the worker's own view of the flow allows it. `is_shared` means that all workers
    /// share a limit of the flow, `has_failed` that the job has failed before. The breaker is not checked for
    /// admitted jobs: Redis has admitted them.
    pub(crate) fn enter(
        &self,
        id: FlowId,
        line: Line,
        is_shared: bool,
        has_failed: bool,
        now: Instant,
    ) -> Entry {
        let mut table = self.lock();
        if let Some(until) = table.flow(id, now).open_until.filter(|_| line != Line::Admitted) {
            return match until.checked_duration_since(now) {
                Some(wait) if !wait.is_zero() => Entry::Open(wait),
                _ if table.is_crowded(id, now) => Entry::Crowded,
                _ => Entry::Trial,
            };
        }
        match table.enter(id, line, is_shared, has_failed, now) {
            Decision::Go(key) => Entry::Go(self.pass(id, key)),
            Decision::Full { is_brisk } => {
                Entry::Full { room: table.flow(id, now).room.get_or_insert_default().clone(), is_brisk }
            }
            Decision::Crowded => Entry::Crowded,
        }
    }

    fn pass(&self, id: FlowId, key: AttemptKey) -> Pass {
        Pass { flows: self.clone(), id, key, is_counted: false, is_trial: false, verdict: None }
    }

    /// Begins an attempt that Redis has granted, as a trial or because the breaker is closed.
    pub(crate) fn enter_trial(&self, id: FlowId, now: Instant) -> Pass {
        let key = self.lock().begin(id, true, now);
        self.pass(id, key)
    }

    /// The right to wait in a slot, unless a quarter of the slots is used by jobs that do.
    pub(crate) fn wait_in_slot(&self) -> Option<Wait> {
        let waiting = self.0.waiting_in_slots.fetch_add(1, Ordering::Relaxed);
        let wait = Wait(self.clone());
        (waiting < self.0.slots.div_ceil(4)).then_some(wait)
    }

    /// A flow holds a job that waits for the share of attempts whose destinations do not answer.
    pub(crate) fn wait_for_share(&self, id: FlowId) {
        self.lock().wait(id, Instant::now());
    }

    /// How many attempts do not answer and exceed their share of the slots. Others get slots in their place.
    pub(crate) fn excess(&self) -> usize {
        self.lock().excess(Instant::now())
    }

    /// Notifies a shard for each of the next flows that wait for that share, if it has room.
    pub(crate) fn want_waiting(&self) {
        /// An answer may raise the share, which makes room for two.
        const FLOWS_MAX: usize = 2;
        for _ in 0..FLOWS_MAX {
            let next = self.lock().next_waiting(Instant::now());
            let Some(id) = next else { return };
            self.want(id);
        }
    }

    /// Consecutive failures.
    pub(crate) fn failures(&self, id: FlowId) -> u32 {
        self.lock().known(id).map_or(0, |flow| flow.window.failures)
    }

    /// Sets the breaker open for `wait`, or closed.
    pub(crate) fn set_open(&self, id: FlowId, wait: Option<Duration>) {
        let now = Instant::now();
        self.lock().flow(id, now).open_until = wait.map(|wait| now + wait);
    }

    pub(crate) fn is_open(&self, id: FlowId) -> bool {
        self.lock().known(id).is_some_and(|flow| flow.open_until.is_some())
    }

    /// How many held jobs there is room for.
    pub(crate) fn room(&self, id: FlowId) -> usize {
        self.lock().room(id, Instant::now())
    }

    /// Expects this number of admitted jobs, which another worker may fetch.
    pub(crate) fn expect(&self, id: FlowId, jobs: usize) {
        if jobs > 0 {
            self.lock().expect(id, jobs, Instant::now());
        }
    }

    /// Fewer jobs than expected were admitted, by `jobs`.
    pub(crate) fn expect_fewer(&self, id: FlowId, jobs: usize) {
        if jobs > 0 {
            self.lock().expect_fewer(id, jobs, Instant::now());
        }
    }

    /// An admitted job has arrived. `after` is the time since its admission.
    pub(crate) fn came(&self, id: FlowId, after: Duration) {
        self.lock().came(id, after, Instant::now());
    }

    pub(crate) fn counted(&self, id: FlowId) -> usize {
        self.lock().known(id).map_or(0, |flow| flow.counted)
    }

    pub(crate) fn count(&self, id: FlowId) {
        let now = Instant::now();
        self.lock().flow(id, now).counted += 1;
    }

    /// The flows with attempts that Redis counts.
    pub(crate) fn all_counted(&self) -> Vec<FlowId> {
        self.lock().all().filter(|(_, flow)| flow.counted > 0).map(|(id, _)| *id).collect()
    }

    fn held(&self) -> MutexGuard<'_, Vec<Arc<Held>>> {
        self.0.held.lock().expect("nothing panics while it holds this lock")
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().expect("nothing panics while it holds this lock")
    }
}
