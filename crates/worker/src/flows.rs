//! The flows of a worker: how many attempts of each are under way, and which have to wait.

mod expected;
mod gate;
mod hold;
mod key;
mod limits;
mod wake;
mod window;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub use gate::{decline, end, pass, tell};
pub use key::{FlowId, destination, of_fields};
pub use limits::{Breaker, FlowLimits, Limits, Rate};
pub use wake::{Held, wake};
pub use window::Verdict;

use expected::Expected;
use window::Window;

/// All flows that a worker has to do with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Flows(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: usize,
    limits: FlowLimits,
    inner: Mutex<Inner>,
    /// What each lane holds back.
    held: Mutex<Vec<Arc<Held>>>,
}

#[derive(Debug, Default)]
struct Inner {
    flows: HashMap<FlowId, Flow>,
    /// How many attempts of slow flows are under way.
    slow: usize,
    /// With so many flows those are looked for that can be forgotten.
    sweep_at: usize,
}

/// One flow.
#[derive(Debug)]
struct Flow {
    window: Window,
    /// Until then the breaker is open, as far as this worker knows. Once it has passed, Redis is asked.
    open_until: Option<Instant>,
    /// How many attempts were counted in Redis as this worker's.
    counted: usize,
    /// Jobs that were admitted from those that waited and have not come yet.
    expected: Expected,
    /// For those who wait for room.
    room: Option<Arc<Notify>>,
}

/// Where a job stands among those of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Nobody waits.
    Free,
    /// Others are parked, and come back at the end of the stream.
    Behind,
    /// It was parked, and is admitted.
    Admitted,
}

/// How many flows there are in each state of their breaker, as far as this worker knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breakers {
    /// Attempts are made.
    pub closed: u64,
    /// None is made.
    pub open: u64,
    /// The pause is over, and one attempt is to try.
    pub half_open: u64,
}

/// Whether an attempt may begin.
enum Entry {
    /// It has begun.
    Go(Pass),
    /// There are enough under way; who waits is told of the next end, which a brisk flow has soon.
    Full { room: Arc<Notify>, is_brisk: bool },
    /// The breaker is open for so long.
    Open(Duration),
    /// The breaker was open: Redis knows who makes the trial.
    Trial,
}

/// An attempt under way, until it is dropped.
#[derive(Debug)]
pub struct Pass {
    flows: Flows,
    /// Of which flow.
    id: FlowId,
    began: Instant,
    /// Whether it is counted in Redis.
    is_counted: bool,
    /// Whether its end is told whatever it is: it is a trial.
    is_trial: bool,
    verdict: Option<Verdict>,
}

impl Pass {
    /// How it ended.
    fn end(&mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.flows.leave(self);
    }
}

impl Flows {
    /// For a worker with so many slots.
    pub fn new(slots: usize, limits: FlowLimits) -> Self {
        Self(Arc::new(Shared { slots, limits, inner: Mutex::default(), held: Mutex::default() }))
    }

    /// For a lane, what flows hold back of it.
    pub fn join(&self) -> Arc<Held> {
        let held = Arc::new(Held::default());
        self.held().push(held.clone());
        held
    }

    /// There may be room in the flow: tells one of the lanes in which jobs of it wait, and each time any of them, so
    /// that none of them waits for ever.
    fn want(&self, id: FlowId) {
        let lanes = self.held();
        let (before, from) = lanes.split_at(fastrand::usize(..lanes.len().max(1)).min(lanes.len()));
        if let Some(held) = from.iter().chain(before).find(|held| held.contains(id)) {
            held.want(id);
        }
    }

    /// In which state the breakers are.
    pub fn breakers(&self) -> Breakers {
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

    /// The limits of a flow.
    pub fn limits(&self, id: FlowId) -> &Limits {
        self.0.limits.get(id)
    }

    /// Begins an attempt if the worker's own view of the flow allows it. One that was admitted from those that
    /// waited has been asked for.
    ///
    /// Others leave room for those that are admitted and have not come yet, but for no more than half of it: those
    /// come back at the end of the stream, and behind a long one that may be much later. A brisk flow has room again
    /// before it would be missed.
    fn enter(&self, id: FlowId, line: Line, now: Instant) -> Entry {
        let shared = self.limits(id).are_shared();
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
            _ if shared => flow.expected.count(now),
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

    /// Begins the attempt that Redis has granted as a trial, or since the breaker is closed.
    fn enter_trial(&self, id: FlowId, now: Instant) -> Pass {
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
            // With each answer there may be one more than before.
            room.notify_one();
            room.notify_one();
        }
        inner.slow = inner.slow + is - was;
    }

    /// How many failures in a row there were.
    fn failures(&self, id: FlowId) -> u32 {
        self.lock().flows.get(&id).map_or(0, |flow| flow.window.failures)
    }

    /// The breaker is open for so long, or closed.
    fn set_open(&self, id: FlowId, wait: Option<Duration>) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.flow(id, now).open_until = wait.map(|wait| now + wait);
    }

    fn is_open(&self, id: FlowId) -> bool {
        self.lock().flows.get(&id).is_some_and(|flow| flow.open_until.is_some())
    }

    /// How many jobs of those that wait there is room for.
    fn room(&self, id: FlowId) -> usize {
        let now = Instant::now();
        let mut inner = self.lock();
        let slow = inner.slow;
        let flow = inner.flow(id, now);
        let expected = flow.expected.count(now);
        let room = flow.window.room(self.0.slots, slow, now);
        room.max(flow.window.returning(now)).saturating_sub(expected)
    }

    /// So many jobs are admitted and will be on their way, perhaps to this worker.
    fn expect(&self, id: FlowId, jobs: usize) {
        if jobs > 0 {
            let now = Instant::now();
            self.lock().flow(id, now).expected.more(jobs, now);
        }
    }

    /// There were not as many jobs to admit.
    fn expect_fewer(&self, id: FlowId, jobs: usize) {
        self.lock().flow(id, Instant::now()).expected.fewer(jobs);
    }

    /// A job that was admitted so long ago has come.
    fn came(&self, id: FlowId, after: Duration) {
        self.lock().flow(id, Instant::now()).expected.came(after);
    }

    fn counted(&self, id: FlowId) -> usize {
        self.lock().flows.get(&id).map_or(0, |flow| flow.counted)
    }

    fn count(&self, id: FlowId) {
        let now = Instant::now();
        self.lock().flow(id, now).counted += 1;
    }

    /// The flows of which attempts are counted in Redis.
    fn all_counted(&self) -> Vec<FlowId> {
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
    /// How many attempts of it are under way, if it is slow.
    fn slow(&self) -> usize {
        if self.window.slow { self.window.in_flight } else { 0 }
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.window.is_stale(now) && self.counted == 0 && self.open_until.is_none_or(|until| until < now)
    }
}
