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
use std::sync::Arc;

use e2e::resp::Reply;
use postrider_queue::cron::{CatchUp, Overlap};

use crate::calls::{Call, Shard, Tick};
use crate::faults::{Fate, Kind, Left};
use crate::redis::{Db, Id, Value};
use crate::scripts::Sources;
use crate::small::Small;

pub(crate) use planted::MUTATIONS;

const WORKERS: usize = 2;
/// A step of time, ms.
const STEP_MS: u64 = 5_000;
/// How far the clock of Redis is set, in steps.
const CLOCK_STEPS: i64 = 3;
const TIME_MAX: u8 = 8;
const START_MS: u64 = 1_800_000_000_000;
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

/// Redis, and what is true of it: it goes back together with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Server {
    db: Db,
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
    server: Server,
    /// Before the last write, if Redis may lose it.
    past: Option<Arc<Server>>,
    shape: usize,
    time: u8,
    /// How far the clock of Redis is ahead, in steps.
    offset: i64,
    /// How often the clock was set.
    jumps: u8,
    /// Whether each worker runs.
    is_up: [bool; WORKERS],
    claims: [Option<Claim>; WORKERS],
    /// What the operator is about to do, by what was read.
    pending: Option<operator::Pending>,
    left: Left,
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
    /// The operator reads, to do this.
    Read(operator::Intent),
    /// The operator does it.
    Do(Fate),
    Kill(usize),
    Start(usize),
    FillMemory,
    FreeMemory,
    SetClock(i64),
    Failover,
    DeleteDue,
}

impl Ticks {
    /// Both workers run, and there is a definition.
    pub(crate) fn start(shape: usize, faults: &[Kind], sources: &Sources) -> Self {
        let mut start = Self {
            server: Server::default(),
            past: None,
            shape,
            time: 0,
            offset: 0,
            jumps: 0,
            is_up: [true; WORKERS],
            claims: [None, None],
            pending: None,
            left: Left::new(faults, 2),
            is_damaged: false,
            may_repeat: false,
            may_overlap: false,
            broken: None,
        };
        start.set_clock();
        start.read(operator::Intent::Create);
        start.carry_out(sources, Fate::Answered);
        start.past = None;
        start
    }

    fn set_clock(&mut self) {
        let steps = i64::from(self.time) + self.offset;
        self.server.db.now = START_MS.saturating_add_signed(steps * STEP_MS.cast_signed());
    }

    /// Redis runs a script.
    fn call(&mut self, sources: &Sources, call: &Call, fate: Fate) -> Reply {
        let denied = if let Fate::Denied(command) = fate { Some(command) } else { None };
        let before = self.left.has(Kind::Failover).then(|| Arc::new(self.server.clone()));
        let reply = sources.call(&mut self.server.db, call, denied);
        if before.as_ref().is_some_and(|before| before.db.keys != self.server.db.keys) {
            self.past = before;
        }
        reply
    }

    /// A field of the definition in Redis.
    fn field(&self, kind: &str) -> Option<String> {
        let Value::Hash(hash) = &*self.server.db.keys.get(&SHARD.key("cron"))?.value else { return None };
        let value = hash.get(format!("{kind}:{NAME}").as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// When the definition is looked at next.
    fn alarm(&self) -> Option<f64> {
        match &*self.server.db.keys.get(&SHARD.key("cron_due"))?.value {
            Value::Sorted(set) => set.get(NAME.as_bytes()).map(|score| score.0),
            _ => None,
        }
    }

    /// The fates that a call may have.
    fn fates(&self) -> Vec<Fate> {
        let mut fates = vec![Fate::Answered];
        fates.extend(self.left.has(Kind::Reply).then_some(Fate::Lost));
        if self.left.has(Kind::Rights) {
            fates.extend(RIGHTS.map(Fate::Denied));
        }
        fates
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
        steps.extend(self.left.has(Kind::Kill).then_some(Step::Kill(worker)));
    }

    /// Whether a look finds the definition.
    fn is_due(&self) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let now = self.server.db.now as f64;
        self.alarm().map_or(self.is_damaged, |at| at <= now)
    }
}

impl Small for Ticks {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        if self.broken.is_some() {
            return steps;
        }
        let fates = self.fates();
        (0..WORKERS).for_each(|worker| self.add_worker(worker, &fates, &mut steps));
        if self.last_running().is_some() && self.is_skipping() {
            steps.push(Step::EndJob);
        }
        if self.pending.is_some() {
            steps.extend(fates.iter().map(|fate| Step::Do(*fate)));
        } else if self.left.has(Kind::ByHand) {
            steps.extend(operator::Intent::ALL.map(Step::Read));
        }
        if self.server.db.is_full {
            steps.push(Step::FreeMemory);
        } else if self.left.has(Kind::Memory) {
            steps.push(Step::FillMemory);
        }
        if self.left.has(Kind::Clock) {
            steps.extend([CLOCK_STEPS, -CLOCK_STEPS].map(Step::SetClock));
        }
        if self.left.has(Kind::Failover) && self.past.is_some() {
            steps.push(Step::Failover);
        }
        if self.left.has(Kind::Key) && self.alarm().is_some() {
            steps.push(Step::DeleteDue);
        }
        if self.time < TIME_MAX {
            steps.push(Step::Pass);
        }
        steps
    }

    fn after(&self, sources: &Sources, step: Step) -> Self {
        let mut next = self.clone();
        next.step(sources, step);
        if !next.left.has(Kind::Failover) {
            next.past = None;
        }
        next
    }

    fn check(&self, sources: &Sources) -> Option<&'static str> {
        self.broken.or_else(|| self.miscounted()).or_else(|| self.never_made(sources))
    }

    fn sentence(step: Step) -> String {
        check::sentence(step)
    }
}
