//! The limits of a flow: what two workers and faults can do to each other, in every order of their calls. A tick is five seconds.
//!
//! A worker is restated (`worker/src/delivery/flow_gate.rs` and its neighbours): it asks before each attempt, reports its
//! failures and what it makes, and repeats that report each tick. Of a job that waits in Redis, only what the flow has granted to
//! it is here.

mod calm;
mod check;
mod planted;
mod worker;

use crate::calls::{FLOW, FlowLimits};
use crate::faults::{Fate, Kind, Left};
use crate::faulty::{Event, FaultyRedis};
use crate::redis::Value;
use crate::scripts::Sources;
use crate::small::Small;

pub(crate) use planted::MUTATIONS;

const WORKERS: usize = 2;
/// A tick, ms.
const TICK_MS: u64 = 5_000;
/// How far the clock of Redis is set, in ticks: longer than anything lasts that a flow remembers.
const CLOCK_TICKS: i64 = 60;
const TICKS_MAX: u8 = 12;
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

/// What is true of the flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Truth {
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
    redis: FaultyRedis<Truth>,
    limits: FlowLimits,
    workers: [Worker; WORKERS],
    /// Whether a held job was admitted, and is the trial.
    admitted: Option<bool>,
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
    Happen(Event),
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
        Self {
            redis: FaultyRedis::new(Truth::default(), Left::new(faults, 1), TICK_MS, TICKS_MAX, CLOCK_TICKS),
            limits,
            workers: [worker.clone(), worker],
            admitted: None,
            is_excused: false,
            is_filled: false,
            broken: None,
        }
    }

    fn name(&self, worker: usize) -> String {
        format!("{}{}", ["a", "b"][worker], self.workers[worker].process)
    }

    /// Whether the flow remembers this in Redis.
    fn remembers(&self, name: &str) -> bool {
        let hash = self.redis.db.keys.get(&key()).map(|entry| &*entry.value);
        matches!(hash, Some(Value::Hash(hash)) if hash.contains_key(name.as_bytes()))
    }

    fn add_calls(&self, worker: usize, steps: &mut Vec<Step>) {
        let own = &self.workers[worker];
        for fate in self.redis.fates(&RIGHTS) {
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
                steps.extend(self.redis.left.has(Kind::Kill).then_some(Step::Kill(worker)));
                steps.extend(self.redis.left.has(Kind::Pause).then_some(Step::Pause(worker)));
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
        (0..WORKERS).for_each(|worker| self.add_faults(worker, &mut steps));
        let deletes = (!self.redis.db.keys.is_empty()).then_some(Step::DeleteKey);
        self.redis.add_steps(&mut steps, Step::Happen, deletes, Some(Step::Pass));
        steps
    }

    fn step(&mut self, sources: &Sources, step: Step) {
        self.do_step(sources, step);
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
