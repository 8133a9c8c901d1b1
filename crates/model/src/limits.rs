//! The limits of a flow: what two workers and faults can do to each other, in every order of their calls. A tick is five seconds.
//!
//! A worker is restated (`worker/src/delivery/flow_gate.rs` and its neighbours): it asks before each attempt, reports its
//! failures and what it makes, and repeats that report each tick. Of a job that waits in Redis, only what the flow has granted to
//! it is here.

mod calm;
mod check;
mod planted;
mod worker;

use std::sync::Arc;

use e2e::resp::Reply;

use crate::calls::{Call, FLOW, FlowLimits};
use crate::faults::{Fate, Kind, Left};
use crate::redis::{Db, Value};
use crate::scripts::Sources;
use crate::small::Small;

pub(crate) use planted::MUTATIONS;

const WORKERS: usize = 2;
/// A tick, ms.
const TICK_MS: u64 = 5_000;
/// How far the clock of Redis is set, in ticks: longer than anything lasts that a flow remembers.
const CLOCK_TICKS: i64 = 60;
const TICKS_MAX: u8 = 12;
const START_MS: u64 = 1_800_000_000_000;
/// How many processes a worker has at most.
const PROCESSES_MAX: u8 = 2;
/// The faults that concern a flow.
pub(crate) const FAULTS: [Kind; 8] = [
    Kind::Kill,
    Kind::Pause,
    Kind::Reply,
    Kind::Rights,
    Kind::Memory,
    Kind::Clock,
    Kind::Failover,
    Kind::Key,
];
/// The commands without which a script is tried.
const RIGHTS: [&str; 3] = ["hdel", "pexpire", "hset"];

/// Limits that are explored: of attempts at once, and of both attempts at once and a rate of a token for each tick.
pub(crate) const LIMITS: [FlowLimits; 2] =
    [FlowLimits { rate: "0", most: 1 }, FlowLimits { rate: "0.2", most: 2 }];

/// Whether a worker's process exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    Absent,
    Up,
    Paused,
}

/// What an attempt shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Works,
    Fails,
    NotSent,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Worker {
    life: Life,
    /// The number of its process: each has another name.
    process: u8,
    /// How many attempts it makes.
    attempts: u8,
    /// How many of these are trials.
    trials: u8,
    /// Whether it believes that the breaker is open.
    is_open: bool,
    /// Whether Redis has granted it a trial that it has not begun.
    has_trial: bool,
    /// Whether it has not reported the end of an attempt.
    owes: bool,
}

/// Redis, and what is true of it: it goes back together with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Server {
    db: Db,
    /// How many tokens were taken and not given back.
    taken: i32,
    /// The tick at which a trial was granted of which nothing is known yet.
    trial: Option<u8>,
    /// The tick until which the breaker is open.
    open_until: Option<u8>,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    server: Server,
    /// Before the last write, if Redis may lose it.
    past: Option<Arc<Server>>,
    limits: FlowLimits,
    tick: u8,
    /// How far the clock of Redis is ahead, in ticks.
    offset: i64,
    workers: [Worker; WORKERS],
    /// Whether a held job was admitted, and is the trial.
    admitted: Option<bool>,
    left: Left,
    /// Whether a fault explains that a limit is exceeded: until all workers have reported.
    is_excused: bool,
    /// Whether a fault explains that more tokens were taken.
    is_filled: bool,
    broken: Option<&'static str>,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Pass,
    /// A worker asks for an attempt.
    Begin(usize, Fate),
    /// It asks for an attempt of a held job.
    Admit(usize, Fate),
    /// It begins that attempt.
    BeginAdmitted(usize, Fate),
    /// It does not send that job.
    Decline(usize, Fate),
    /// An attempt ends; whether it is a trial.
    End(usize, bool, Verdict, Fate),
    /// It reports how many attempts it makes.
    Count(usize, Fate),
    Kill(usize),
    Pause(usize),
    Start(usize),
    Continue(usize),
    FillMemory,
    FreeMemory,
    SetClock(i64),
    Failover,
    DeleteKey,
}

impl Limits {
    /// Both workers run.
    pub(crate) fn start(limits: FlowLimits, faults: &[Kind]) -> Self {
        let worker = Worker {
            life: Life::Up,
            process: 0,
            attempts: 0,
            trials: 0,
            is_open: false,
            has_trial: false,
            owes: false,
        };
        let mut start = Self {
            server: Server::default(),
            past: None,
            limits,
            tick: 0,
            offset: 0,
            workers: [worker.clone(), worker],
            admitted: None,
            left: Left::new(faults, 1),
            is_excused: false,
            is_filled: false,
            broken: None,
        };
        start.set_clock();
        start
    }

    fn set_clock(&mut self) {
        let ticks = i64::from(self.tick) + self.offset;
        self.server.db.now = START_MS.saturating_add_signed(ticks * TICK_MS.cast_signed());
    }

    fn name(&self, worker: usize) -> String {
        format!("{}{}", ["a", "b"][worker], self.workers[worker].process)
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

    /// Whether the flow remembers this in Redis.
    fn remembers(&self, name: &str) -> bool {
        let hash = self.server.db.keys.get(&key()).map(|entry| &*entry.value);
        matches!(hash, Some(Value::Hash(hash)) if hash.contains_key(name.as_bytes()))
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

    fn add_calls(&self, worker: usize, steps: &mut Vec<Step>) {
        let own = &self.workers[worker];
        for fate in self.fates() {
            if own.attempts < 2 {
                steps.push(Step::Begin(worker, fate));
            }
            match self.admitted {
                None => steps.push(Step::Admit(worker, fate)),
                Some(_) if own.attempts < 2 => {
                    steps.extend([Step::BeginAdmitted(worker, fate), Step::Decline(worker, fate)]);
                }
                Some(_) => {}
            }
            for (count, is_trial) in [(own.attempts - own.trials, false), (own.trials, true)] {
                if count > 0 {
                    let ends = [Verdict::Works, Verdict::Fails, Verdict::NotSent];
                    steps.extend(ends.map(|verdict| Step::End(worker, is_trial, verdict, fate)));
                }
            }
            steps.extend(own.owes.then_some(Step::Count(worker, fate)));
        }
    }

    fn add_faults(&self, worker: usize, steps: &mut Vec<Step>) {
        match self.workers[worker].life {
            Life::Up => {
                self.add_calls(worker, steps);
                steps.extend(self.left.has(Kind::Kill).then_some(Step::Kill(worker)));
                steps.extend(self.left.has(Kind::Pause).then_some(Step::Pause(worker)));
            }
            Life::Paused => steps.push(Step::Continue(worker)),
            Life::Absent if self.workers[worker].process < PROCESSES_MAX => steps.push(Step::Start(worker)),
            Life::Absent => {}
        }
    }
}

impl Small for Limits {
    type Step = Step;

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![];
        if self.broken.is_some() {
            return steps;
        }
        (0..WORKERS).for_each(|worker| self.add_faults(worker, &mut steps));
        if self.server.db.is_full {
            steps.push(Step::FreeMemory);
        } else if self.left.has(Kind::Memory) {
            steps.push(Step::FillMemory);
        }
        if self.left.has(Kind::Clock) {
            steps.extend([CLOCK_TICKS, -CLOCK_TICKS].map(Step::SetClock));
        }
        if self.left.has(Kind::Failover) && self.past.is_some() {
            steps.push(Step::Failover);
        }
        if self.left.has(Kind::Key) && !self.server.db.keys.is_empty() {
            steps.push(Step::DeleteKey);
        }
        if self.tick < TICKS_MAX {
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
        self.broken.or_else(|| self.exceeded()).or_else(|| self.never_granted(sources))
    }

    fn sentence(step: Step) -> String {
        check::sentence(step)
    }
}

/// The key of the flow.
fn key() -> Vec<u8> {
    format!("postrider:flow:{{{FLOW}}}").into_bytes()
}
