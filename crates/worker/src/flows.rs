//! The flows of a worker: how many attempts of each are under way, and which jobs must wait.

mod expected;
mod held;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use postrider_queue::job::FlowId;
use tokio::sync::Notify;

pub(crate) use held::Held;
pub(crate) use window::{GRACE, Verdict};

use expected::Expected;
use window::Window;

/// All flows that a worker knows. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Flows(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: usize,
    inner: Mutex<Inner>,
    /// The flows that hold jobs, for each shard.
    held: Mutex<Vec<Arc<Held>>>,
}

#[derive(Debug, Default)]
struct Inner {
    flows: HashMap<FlowId, Flow>,
    /// Attempts of slow flows under way.
    slow: usize,
    /// Number of flows at which stale ones are removed.
    sweep_at: usize,
}

/// One flow.
#[derive(Debug)]
struct Flow {
    window: Window,
    /// The breaker is open until then, as far as this worker knows. After that, the worker asks Redis.
    open_until: Option<Instant>,
    /// Attempts that Redis counts as this worker's.
    counted: usize,
    /// Held jobs that were admitted and have not arrived yet.
    expected: Expected,
    /// Notifies tasks that wait for room.
    room: Option<Arc<Notify>>,
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
    began: Instant,
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
        self.flows.leave(self);
    }
}

impl Flows {
    /// The flows of a worker with this number of slots.
    pub(crate) fn new(slots: usize) -> Self {
        Self(Arc::new(Shared { slots, inner: Mutex::default(), held: Mutex::default() }))
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
        for flow in self.lock().flows.values() {
            match flow.open_until {
                None => breakers.closed += 1,
                Some(until) if until > now => breakers.open += 1,
                Some(_) => breakers.half_open += 1,
            }
        }
        breakers
    }

    /// Begins an attempt if the worker's own view of the flow allows it. The breaker is not checked for
    /// admitted jobs: Redis has admitted them.
    ///
    /// Other jobs leave room for admitted jobs that have not arrived yet, but at most half of the limit:
    /// admitted jobs return at the end of the stream, which takes long if the stream is long. A brisk flow
    /// reserves no room, since it soon has room again. `is_shared` means that all workers share a limit of the
    /// flow.
    pub(crate) fn enter(&self, id: FlowId, line: Line, is_shared: bool, now: Instant) -> Entry {
        let mut inner = self.lock();
        let slow = inner.slow;
        let flow = inner.flow(id, now);
        if let Some(until) = flow.open_until.filter(|_| line != Line::Admitted) {
            return match until.checked_duration_since(now) {
                Some(wait) if !wait.is_zero() => Entry::Open(wait),
                _ => Entry::Trial,
            };
        }
        let (room, is_brisk) = (flow.window.room(self.0.slots, slow, now), flow.window.is_brisk(now));
        let reserved = match line {
            Line::Admitted => 0,
            _ if is_shared => flow.expected.count(now),
            _ if is_brisk => 0,
            Line::Free => flow.expected.count(now).min(flow.window.half()),
            Line::Behind => flow.window.half(),
        };
        if room <= reserved {
            return Entry::Full { room: flow.room.get_or_insert_default().clone(), is_brisk };
        }
        inner.begin(id, now);
        Entry::Go(self.pass(id, now))
    }

    fn pass(&self, id: FlowId, now: Instant) -> Pass {
        Pass { flows: self.clone(), id, began: now, is_counted: false, is_trial: false, verdict: None }
    }

    /// Begins an attempt that Redis has granted, as a trial or because the breaker is closed.
    pub(crate) fn enter_trial(&self, id: FlowId, now: Instant) -> Pass {
        let mut inner = self.lock();
        inner.flow(id, now);
        inner.begin(id, now);
        self.pass(id, now)
    }

    fn leave(&self, pass: &Pass) {
        let now = Instant::now();
        let mut inner = self.lock();
        let Some(flow) = inner.flows.get_mut(&pass.id) else { return };
        let was = flow.slow();
        flow.window.end(pass.verdict, now.saturating_duration_since(pass.began), self.0.slots, now);
        flow.counted = flow.counted.saturating_sub(usize::from(pass.is_counted));
        let is = flow.slow();
        if let Some(room) = &flow.room {
            // A response may raise the limit by one, which makes room for two.
            room.notify_one();
            room.notify_one();
        }
        inner.slow = inner.slow + is - was;
    }

    /// Consecutive failures.
    pub(crate) fn failures(&self, id: FlowId) -> u32 {
        self.lock().flows.get(&id).map_or(0, |flow| flow.window.failures)
    }

    /// Sets the breaker open for `wait`, or closed.
    pub(crate) fn set_open(&self, id: FlowId, wait: Option<Duration>) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.flow(id, now).open_until = wait.map(|wait| now + wait);
    }

    pub(crate) fn is_open(&self, id: FlowId) -> bool {
        self.lock().flows.get(&id).is_some_and(|flow| flow.open_until.is_some())
    }

    /// How many held jobs there is room for.
    pub(crate) fn room(&self, id: FlowId) -> usize {
        let now = Instant::now();
        let mut inner = self.lock();
        let slow = inner.slow;
        let flow = inner.flow(id, now);
        let expected = flow.expected.count(now);
        let room = flow.window.room(self.0.slots, slow, now);
        room.max(flow.window.returning(now)).saturating_sub(expected)
    }

    /// Expects this number of admitted jobs, which another worker may fetch.
    pub(crate) fn expect(&self, id: FlowId, jobs: usize) {
        if jobs > 0 {
            let now = Instant::now();
            self.lock().flow(id, now).expected.more(jobs, now);
        }
    }

    /// Fewer jobs than expected were admitted, by `jobs`.
    pub(crate) fn expect_fewer(&self, id: FlowId, jobs: usize) {
        self.lock().flow(id, Instant::now()).expected.fewer(jobs);
    }

    /// An admitted job has arrived. `after` is the time since its admission.
    pub(crate) fn came(&self, id: FlowId, after: Duration) {
        self.lock().flow(id, Instant::now()).expected.came(after);
    }

    pub(crate) fn counted(&self, id: FlowId) -> usize {
        self.lock().flows.get(&id).map_or(0, |flow| flow.counted)
    }

    pub(crate) fn count(&self, id: FlowId) {
        let now = Instant::now();
        self.lock().flow(id, now).counted += 1;
    }

    /// The flows with attempts that Redis counts.
    pub(crate) fn all_counted(&self) -> Vec<FlowId> {
        let inner = self.lock();
        inner.flows.iter().filter(|(_, flow)| flow.counted > 0).map(|(id, _)| *id).collect()
    }

    fn held(&self) -> MutexGuard<'_, Vec<Arc<Held>>> {
        self.0.held.lock().expect("nothing panics while it holds this lock")
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().expect("nothing panics while it holds this lock")
    }
}

impl Inner {
    fn flow(&mut self, id: FlowId, now: Instant) -> &mut Flow {
        const FEW: usize = 1024;
        if self.flows.len() >= self.sweep_at.max(FEW) {
            self.flows.retain(|_, flow| !flow.is_stale(now));
            self.sweep_at = 2 * self.flows.len();
        }
        self.flows.entry(id).or_insert_with(|| Flow {
            window: Window::new(now),
            open_until: None,
            counted: 0,
            expected: Expected::new(now),
            room: None,
        })
    }

    fn begin(&mut self, id: FlowId, now: Instant) {
        let flow = self.flow(id, now);
        let was = flow.slow();
        flow.window.begin(now);
        let is = flow.slow();
        self.slow = self.slow + is - was;
    }
}

impl Flow {
    /// Attempts under way if the flow is slow, else 0.
    fn slow(&self) -> usize {
        if self.window.slow { self.window.in_flight } else { 0 }
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.window.is_stale(now) && self.counted == 0 && self.open_until.is_none_or(|until| until < now)
    }
}
