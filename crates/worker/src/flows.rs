//! The flows of a worker: how many attempts of each are under way, and which jobs must wait.

mod answers;
mod candidate;
mod evidence;
mod expected;
mod flow;
mod held;
mod ids;
mod pass;
mod share;
mod shared;
mod silence;
#[cfg(test)]
mod simulation;
mod table;
mod waiting_flows;
mod window;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use http::Uri;
use postrider_queue::job::{FlowId, Job};

pub(crate) use candidate::{Candidate, Line};
pub(crate) use evidence::JobKind;
pub(crate) use flow::AttemptEnd;
pub(crate) use held::HeldFlows;
pub(crate) use pass::{EnterResult, Pass, SlotWait};
pub(crate) use shared::SharedFlows;
pub(crate) use window::{SLOT_WAIT_MAX, Verdict};

use ids::FlowIds;
use silence::AttemptKey;
use table::{Decision, FlowTable};

/// All flows that a worker knows. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Flows(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: usize,
    table: Mutex<FlowTable>,
    ids: FlowIds,
    /// The flows that hold jobs, for each shard.
    held: Mutex<Vec<Arc<HeldFlows>>>,
    /// Jobs that wait in their slots for room.
    waiting_in_slots: AtomicUsize,
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

impl Flows {
    /// The flows of a worker with this number of slots. `shared` is what it shares with other threads, if there are any.
    pub(crate) fn new(slots: usize, shared: Option<SharedFlows>) -> Self {
        Self(Arc::new(Shared {
            slots,
            table: Mutex::new(FlowTable::new(slots, shared, Instant::now())),
            ids: FlowIds::default(),
            held: Mutex::default(),
            waiting_in_slots: AtomicUsize::new(0),
        }))
    }

    /// The flow of a job.
    pub(crate) fn id_of(&self, job: &Job) -> FlowId {
        if job.flow.is_some() { FlowId::of_job(job) } else { self.destination(&job.uri) }
    }

    /// The flow of a destination, whatever flow a job names.
    pub(crate) fn destination(&self, uri: &Uri) -> FlowId {
        self.0.ids.of(uri)
    }

    /// Adds a shard. Returns the set of flows that hold its jobs.
    pub(crate) fn join(&self) -> Arc<HeldFlows> {
        let held = Arc::new(HeldFlows::default());
        self.held().push(held.clone());
        held
    }

    /// The flow may have room: notifies one shard with held jobs of the flow. The shard is chosen at random,
    /// so that none waits for ever. A paused queue admits none.
    pub(crate) fn notify(&self, id: FlowId) {
        let shards = self.held();
        let (before, from) = shards.split_at(fastrand::usize(..shards.len().max(1)).min(shards.len()));
        if let Some(held) = from.iter().chain(before).find(|held| !held.is_paused() && held.contains(id)) {
            held.notify(id);
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

    /// The flows whose breaker is open, as far as this worker knows.
    pub(crate) fn open(&self) -> Vec<FlowId> {
        let table = self.lock();
        table.all().filter(|(_, flow)| flow.open_until.is_some()).map(|(id, _)| *id).collect()
    }

    /// Begins an attempt if the worker's own view of the flow allows it. The breaker is not checked for
    /// admitted jobs, since Redis has admitted them, unless it is open for this worker alone.
    pub(crate) fn enter(&self, job: &Candidate, now: Instant) -> EnterResult {
        let mut table = self.lock();
        let id = job.flow;
        let flow = table.flow(id, now);
        if job.line != Line::Admitted {
            flow.evidence.saw(job.kind, now);
        }
        if let Some(wait) = left(flow.hold_until, now) {
            return EnterResult::Asked(wait);
        }
        let is_checked = job.line != Line::Admitted || flow.is_open_alone;
        if let Some(until) = flow.open_until.filter(|_| is_checked) {
            if !job.has_failed {
                flow.evidence.offer(job.kind, now);
            }
            return match left(Some(until), now) {
                Some(wait) => EnterResult::Open(wait),
                None if table.is_crowded(id, now) => EnterResult::Crowded,
                None => EnterResult::Trial,
            };
        }
        match table.enter(job, now) {
            Decision::Go(key) => EnterResult::Go(self.pass(id, key)),
            Decision::Full { is_brisk } => {
                EnterResult::Full { room: table.flow(id, now).room.get_or_insert_default().clone(), is_brisk }
            }
            Decision::Crowded => EnterResult::Crowded,
        }
    }

    fn pass(&self, id: FlowId, key: AttemptKey) -> Pass {
        Pass { flows: self.clone(), id, key, is_counted: false, is_trial: false, has_ended: false }
    }

    /// Begins an attempt that Redis has granted, as a trial or because the breaker is closed.
    pub(crate) fn enter_trial(&self, job: &Candidate, now: Instant) -> Pass {
        let key = self.lock().begin(job, true, now);
        self.pass(job.flow, key)
    }

    /// The right to wait in a slot, unless a quarter of the slots is used by jobs that do.
    pub(crate) fn wait_in_slot(&self) -> Option<SlotWait> {
        let waiting = self.0.waiting_in_slots.fetch_add(1, Ordering::Relaxed);
        let wait = SlotWait(self.clone());
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
    pub(crate) fn notify_waiting(&self) {
        /// An answer may raise the share, which makes room for two.
        const FLOWS_MAX: usize = 2;
        for _ in 0..FLOWS_MAX {
            let next = self.lock().next_waiting(Instant::now());
            let Some(id) = next else { return };
            self.notify(id);
        }
    }

    pub(crate) fn is_open(&self, id: FlowId) -> bool {
        self.lock().known(id).is_some_and(|flow| flow.open_until.is_some())
    }

    /// How many held jobs there is room for.
    pub(crate) fn room(&self, id: FlowId) -> usize {
        self.lock().room(id, Instant::now())
    }

    /// Whether only jobs that have not failed before may be admitted.
    pub(crate) fn admits_untried_only(&self, id: FlowId) -> bool {
        self.lock().admits_untried_only(id, Instant::now())
    }

    /// How many of the next `jobs` admitted jobs are to be ones that have failed before.
    pub(crate) fn admits_failed(&self, id: FlowId, jobs: usize) -> usize {
        self.lock().flow(id, Instant::now()).evidence.admits_failed(jobs)
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
    pub(crate) fn record_arrival(&self, id: FlowId, after: Duration) {
        self.lock().record_arrival(id, after, Instant::now());
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

    fn held(&self) -> MutexGuard<'_, Vec<Arc<HeldFlows>>> {
        self.0.held.lock().expect("nothing panics while it holds this lock")
    }

    fn lock(&self) -> MutexGuard<'_, FlowTable> {
        self.0.table.lock().expect("nothing panics while it holds this lock")
    }
}

/// The time until then, if it is not over.
fn left(until: Option<Instant>, now: Instant) -> Option<Duration> {
    until?.checked_duration_since(now).filter(|left| !left.is_zero())
}
