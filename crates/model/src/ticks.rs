//! Periodic jobs: what two workers, an operator and faults can do to one definition, in every order of their calls. A tick of the
//! definition comes every ten seconds, and a step of time is five. Nothing removes a job here, so that each job is seen.
//!
//! A worker is restated (`queue/src/cron/claim.rs`): it looks, and makes what is due, one job in a call. What is due, and which
//! fields a job has, is the code of `crates/queue`.

mod check;
mod operator;
mod planted;
mod worker;

use std::collections::BTreeSet;

use postrider_queue::cron::{CatchUp, Overlap};

use crate::calls::{Shard, Tick};
use crate::faults::{Fate, Kind, Left};
use crate::faulty::{Event, FaultyRedis};
use crate::redis::{Id, Value};
use crate::scripts::Sources;
use crate::small::Small;

pub(crate) use planted::MUTATIONS;

const WORKERS: usize = 2;
const OPERATORS: usize = 2;
/// A step of time, ms.
const STEP_MS: u64 = 5_000;
/// How far the clock of Redis is set, in steps.
const CLOCK_STEPS: i64 = 3;
const TIME_MAX: u8 = 8;
const SHARD: Shard = Shard(0);
/// The name of the definition.
const NAME: &str = "p";
/// The faults that concern periodic jobs.
pub(crate) const FAULTS: [Kind; 8] = [
    Kind::Kill,
    Kind::Reply,
    Kind::Rights,
    Kind::Memory,
    Kind::Clock,
    Kind::Failover,
    Kind::ByHand,
    Kind::Key,
];
/// The commands without which a script is tried.
const RIGHTS: [&str; 5] = ["xadd", "hset", "zadd", "hdel", "zrem"];

/// How a definition makes up for ticks, and whether its jobs may overlap: what is explored.
pub(crate) const SHAPES: [(CatchUp, Overlap); 4] = [
    (CatchUp::One, Overlap::Allow),
    (CatchUp::All, Overlap::Allow),
    (CatchUp::None, Overlap::Allow),
    (CatchUp::One, Overlap::Skip),
];

/// What is true of the definition and its jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Truth {
    /// The tick from which on each one is accounted for, Unix ms, and the counts of the definition by then: of those that
    /// made a job, and of the others.
    since: u64,
    counted: [u64; 2],
    /// The jobs that have ended.
    ended: BTreeSet<Id>,
}

/// What a worker makes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Claim {
    due: Tick,
    /// The time at which it was found to be due.
    now: u64,
    /// The ticks that make a job, the next one, and how many make none; empty before it was planned.
    plan: Option<(Vec<u64>, Option<u64>, [u64; 2])>,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticks {
    redis: FaultyRedis<Truth>,
    shape: usize,
    /// Whether each worker runs.
    is_up: [bool; WORKERS],
    claims: [Option<Claim>; WORKERS],
    /// What each operator is about to do, by what was read.
    pending: [Option<operator::Pending>; OPERATORS],
    /// Whether `cron_due` was deleted: then the definition is found later.
    is_damaged: bool,
    /// Whether a tick was set that had made a job: the clock was set back, and somebody has changed the definition.
    may_repeat: bool,
    /// Whether the definition has forgotten its last job.
    may_overlap: bool,
    broken: Option<&'static str>,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Pass,
    Look(usize, Fate),
    Make(usize, Fate),
    /// The last job ends.
    EndJob,
    /// An operator reads, to do this.
    Read(usize, operator::Intent),
    /// An operator does it.
    Do(usize, Fate),
    Kill(usize),
    Start(usize),
    Happen(Event),
    DeleteDue,
}

impl Ticks {
    /// Both workers run, and there is a definition.
    pub(crate) fn start(shape: usize, faults: &[Kind], sources: &Sources) -> Self {
        let mut start = Self {
            redis: FaultyRedis::new(Truth::default(), Left::default(), STEP_MS, TIME_MAX, CLOCK_STEPS),
            shape,
            is_up: [true; WORKERS],
            claims: [None, None],
            pending: [None, None],
            is_damaged: false,
            may_repeat: false,
            may_overlap: false,
            broken: None,
        };
        start.read(0, operator::Intent::Create);
        start.carry_out(sources, 0, Fate::Answered);
        start.redis.forget_past();
        start.redis.left = Left::new(faults, 2);
        start
    }

    /// A field of the definition in Redis.
    fn field(&self, kind: &str) -> Option<String> {
        let Value::Hash(hash) = &*self.redis.db.keys.get(&SHARD.key("cron"))?.value else { return None };
        let value = hash.get(format!("{kind}:{NAME}").as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// When the definition is looked at next.
    fn alarm(&self) -> Option<f64> {
        match &*self.redis.db.keys.get(&SHARD.key("cron_due"))?.value {
            Value::Sorted(set) => set.get(NAME.as_bytes()).map(|score| score.0),
            _ => None,
        }
    }

    fn add_worker(&self, worker: usize, fates: &[Fate], steps: &mut Vec<Step>) {
        if !self.is_up[worker] {
            return steps.push(Step::Start(worker));
        }
        if self.claims[worker].is_some() {
            steps.extend(fates.iter().map(|fate| Step::Make(worker, *fate)));
        } else if self.is_due() {
            steps.extend(fates.iter().map(|fate| Step::Look(worker, *fate)));
        }
        steps.extend(self.redis.left.has(Kind::Kill).then_some(Step::Kill(worker)));
    }

    /// Whether a look finds the definition.
    fn is_due(&self) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let now = self.redis.db.now as f64;
        self.alarm().map_or(self.is_damaged, |at| at <= now)
    }
}

impl Small for Ticks {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        let fates = self.redis.fates(&RIGHTS);
        (0..WORKERS).for_each(|worker| self.add_worker(worker, &fates, &mut steps));
        if self.last_running().is_some() && self.is_skipping() {
            steps.push(Step::EndJob);
        }
        self.add_operators(&fates, &mut steps);
        let deletes = self.alarm().map(|_| Step::DeleteDue);
        self.redis.add_steps(&mut steps, Step::Happen, deletes, Some(Step::Pass));
        steps
    }

    fn step(&mut self, sources: &Sources, step: Step) {
        self.do_step(sources, step);
    }

    fn check(&self, sources: &Sources) -> Option<&'static str> {
        self.broken.or_else(|| self.miscounted()).or_else(|| self.never_made(sources))
    }

    fn sentence(step: Step) -> String {
        check::sentence(step)
    }
}
