//! Lines and callbacks: what two workers, an operator and faults can do to two jobs of one order key, in every order of their
//! calls. A step of time is half a lease. The second job has callbacks.
//!
//! A worker is restated: it fetches, asks for turns, attempts, settles, takes over, and looks for what does not move. The
//! fields of a job, its place and its callback are the code of `crates/queue`.

mod calm;
mod check;
mod fault;
mod operator;
mod planted;
mod settlement;
mod steps;
mod sweep;
mod view;
mod words;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use e2e::resp::Reply;

use crate::calls::{Call, Shard};
use crate::faults::{Fate, Kind, Left};
use crate::faulty::{Event, FaultyRedis};
use crate::redis::{Bytes, Id};
use crate::scripts::Sources;
use crate::small::Small;

pub(crate) use planted::MUTATIONS;

const WORKERS: usize = 2;
const JOBS: usize = 2;
/// A step of time, ms: half a lease.
const STEP_MS: u64 = 30_000;
const LEASE_MS: u64 = 2 * STEP_MS;
/// How far the clock of Redis is set, in steps.
const CLOCK_STEPS: i64 = 3;
const TIME_MAX: u8 = 8;
/// How many processes a worker has at most.
const PROCESSES_MAX: u8 = 3;
/// How many jobs a worker has in flight.
const FLIGHTS_MAX: usize = 2;
/// How many attempts a job has.
const ATTEMPTS_MAX: u32 = 2;
const SHARD: Shard = Shard(0);
/// The faults that concern lines.
pub(crate) const FAULTS: [Kind; 10] = [
    Kind::Kill,
    Kind::Pause,
    Kind::Stop,
    Kind::Reply,
    Kind::Rights,
    Kind::Memory,
    Kind::Clock,
    Kind::Failover,
    Kind::ByHand,
    Kind::Key,
];
/// The commands without which a script is tried.
const RIGHTS: [&str; 7] = ["xadd", "xdel", "xack", "zadd", "zrem", "hset", "hdel"];
/// The keys that somebody deletes.
const KEYS: [&str; 3] = ["order", "order_waiting", "order_stopped"];

/// Whether a dead letter stops its line: what is explored.
pub(crate) const SHAPES: [bool; 2] = [false, true];

/// Whether a worker's process exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Absent,
    Up,
    Paused,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Works,
    /// It is tried again, unless it was the last one.
    Fails,
    /// It is not tried again.
    Refused,
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Conclusion {
    Success,
    Retry,
    Dead,
    HandBack,
}

/// How far the work on a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    New,
    HasTurn,
    Sending,
    Ends(Conclusion),
}

/// A job in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Flight {
    count: u64,
    /// The time at which its lease was last confirmed.
    confirmed: u8,
    fields: Arc<[Bytes]>,
    stage: Stage,
    /// Whether an earlier call may have moved it.
    in_doubt: bool,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Worker {
    life: Life,
    /// The number of its process: each has another name.
    process: u8,
    flights: BTreeMap<Id, Flight>,
    /// How far it believes that the clock of Redis is ahead, in steps.
    offset: i64,
    /// The time from which it may take over jobs.
    reclaims_from: u8,
    /// The places whose jobs its sweep has not found.
    missing: Vec<String>,
}

/// What is true of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Account {
    /// Where it is in its line, from 1 on.
    position: u8,
    /// Whether it has ended, and was not replayed since.
    is_over: bool,
    /// Whether its dead letter stops its line.
    stops: bool,
    /// How often it has succeeded, and how often it has died.
    ends: [u8; 2],
    /// How many callbacks of each kind were delivered.
    called: [u8; 2],
    /// Whether nothing is left of it: it has succeeded, its dead letter was purged, or a key was deleted.
    is_nowhere: bool,
}

/// What is true of the jobs.
type Truth = [Account; JOBS];

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lines {
    redis: FaultyRedis<Truth>,
    /// Whether a dead letter stops its line.
    is_stopping: bool,
    workers: [Worker; WORKERS],
    /// Whether a failover, or a key that was deleted, explains that jobs of a line are attempted in another order.
    is_disordered: bool,
    /// Whether a right was missing: then a line may wait for a sweep, and a job may be in two places.
    is_torn: bool,
    broken: Option<&'static str>,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Pass,
    Fetch(usize, Fate),
    /// A worker asks for the turn of a job, or of all that have not asked.
    Ask(usize, Option<Id>, Fate),
    /// It sends the request of a job.
    Begin(usize, Id),
    /// An attempt ends, and the worker settles the job.
    Finish(usize, Id, Verdict, Fate),
    /// It settles the job again.
    Settle(usize, Id, Fate),
    Promote(usize, Fate),
    Reclaim(usize, Fate),
    SweepWaiting(usize, Fate),
    SweepLines(usize, Fate),
    DropPlaces(usize, Fate),
    Cancel(usize, Fate),
    Replay(usize, Fate),
    Purge(usize, Fate),
    Resume(Fate),
    Kill(usize),
    Pause(usize),
    Stop(usize),
    Start(usize),
    Continue(usize),
    Happen(Event),
    DeleteKey(&'static str),
}

impl Lines {
    /// Both workers run, and both jobs are enqueued.
    pub(crate) fn start(is_stopping: bool, faults: &[Kind], sources: &Sources) -> Self {
        let worker = Worker {
            life: Life::Absent,
            process: 0,
            flights: BTreeMap::new(),
            offset: 0,
            reclaims_from: 0,
            missing: vec![],
        };
        let mut start = Self {
            redis: FaultyRedis::new(Truth::default(), Left::new(faults, 1), STEP_MS, TIME_MAX, CLOCK_STEPS),
            is_stopping,
            workers: [worker.clone(), worker],
            is_disordered: false,
            is_torn: false,
            broken: None,
        };
        for worker in 0..WORKERS {
            start.start_worker(sources, worker);
            // They have run for a while.
            start.workers[worker].reclaims_from = 0;
        }
        for job in 0..JOBS {
            let call = SHARD.enqueue(None, 0, 0, &view::fields_of(job));
            start.call(sources, &call, Fate::Answered);
            start.redis.truth[job].position = start.last_position() + 1;
        }
        start.redis.forget_past();
        start
    }

    /// Redis runs a script.
    fn call(&mut self, sources: &Sources, call: &Call, fate: Fate) -> Reply {
        let before = self.redis.left.of(Kind::Rights);
        let reply = self.redis.call(sources, call, fate);
        self.is_torn |= self.redis.left.of(Kind::Rights) < before;
        reply
    }

    fn name(&self, worker: usize) -> String {
        format!("{}{}", ["a", "b"][worker], self.workers[worker].process)
    }
}

impl Small for Lines {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        let fates = self.redis.fates(&RIGHTS);
        // As long as they are alike, one of them is enough.
        let workers = if self.workers[0] == self.workers[1] { 1 } else { WORKERS };
        (0..workers).for_each(|worker| self.add_worker(worker, &fates, &mut steps));
        if self.redis.left.has(Kind::ByHand) {
            self.add_changes(&fates, &mut steps);
        }
        let is_there = |name: &&'static str| self.redis.db.keys.contains_key(&SHARD.key(name));
        let deletes = KEYS.into_iter().filter(is_there).map(Step::DeleteKey);
        self.redis.add_steps(&mut steps, Step::Happen, deletes, Some(Step::Pass));
        steps
    }

    fn step(&mut self, sources: &Sources, step: Step) {
        self.do_step(sources, step);
    }

    fn check(&self, sources: &Sources) -> Option<&'static str> {
        self.broken.or_else(|| self.first_broken()).or_else(|| self.never_ends(sources))
    }

    fn sentence(step: Step) -> String {
        words::sentence(step)
    }
}
