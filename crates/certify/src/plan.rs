//! Which part fails when: a plan made from a seed.

use std::time::Duration;

use super::dice::Dice;
use super::options::Options;

/// A step of the plan. The number is the worker's index, or the queue's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// SIGKILL; [`Action::Start`] follows.
    Kill(usize),
    /// SIGKILL when the worker makes a call; [`Action::Kill`] follows, for a worker that does not make it.
    KillAt(usize, Point),
    /// SIGTERM; [`Action::Start`] follows.
    Leave(usize),
    Start(usize),
    /// SIGSTOP; [`Action::Resume`] follows.
    Pause(usize),
    Resume(usize),
    /// Closes all its connections to Redis.
    Cut(usize),
    /// Breaks its connections in this way; [`Action::Mend`] follows.
    Break(usize, Break),
    Mend(usize),
    FlushScripts,
    /// Pauses a queue for all workers; [`Action::ResumeQueue`] follows.
    PauseQueue(usize),
    ResumeQueue(usize),
    /// Makes another server the master, or moves a slot; this number chooses which.
    FailOver(usize),
}

/// A point in the life of a job: a call of a worker, chosen by this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) call: usize,
    /// Whether Redis has run the call, and only its reply is missing.
    pub(crate) has_run: bool,
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    HalfOpen,
    RequestsAfter(usize),
    RepliesAfter(usize),
    /// Loses the reply to one of the calls that a worker makes, chosen by this number.
    LoseReply(usize),
    /// Withholds such a call, so that it never reaches Redis.
    Withhold(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) action: Action,
}

impl Action {
    /// The name in the report. `None` for an action that only ends another.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Pause(_) => Some("SIGSTOP of a worker"),
            Self::Leave(_) => Some("SIGTERM of a worker"),
            Self::Cut(_) => Some("connections cut"),
            Self::Break(_, Break::HalfOpen) => Some("connections half open"),
            Self::Break(_, Break::RequestsAfter(_) | Break::RepliesAfter(_)) => {
                Some("connections cut in a message")
            }
            Self::Break(_, Break::LoseReply(_)) => Some("replies lost"),
            Self::Break(_, Break::Withhold(_)) => Some("calls withheld"),
            Self::FlushScripts => Some("SCRIPT FLUSH"),
            Self::PauseQueue(_) => Some("pause of a queue"),
            Self::FailOver(_) => Some("failover"),
            // A kill is counted when it happens.
            Self::Kill(_) | Self::KillAt(..) => None,
            Self::Start(_) | Self::Resume(_) | Self::Mend(_) | Self::ResumeQueue(_) => None,
        }
    }
}

/// The first faults come when all workers read their queues.
const FIRST: Duration = Duration::from_millis(1500);
/// The pause between two other faults, for four workers, ms. With shorter ones, nearly every duplicate would have an explanation.
const FAULT_PAUSE: [u64; 2] = [400, 1600];
/// When a worker is looked for again if none is free to be killed.
const KILL_AGAIN: Duration = Duration::from_millis(50);
/// How long a worker may take to come to a point at which it is killed.
const POINT_PATIENCE: u64 = 1200;

/// The steps, ordered by time. Each fault ends within the plan or soon after it.
pub(crate) fn plan(options: &Options) -> Vec<Step> {
    let mut plan = Plan {
        dice: Dice::new(options.seed),
        steps: Vec::new(),
        free: vec![Duration::ZERO; options.workers],
        pause_max: pause_max(options),
    };
    let between_kills = Duration::from_secs_f64(1.0 / options.kills_per_second.max(0.001));
    let workers = u32::try_from(options.workers).unwrap_or(u32::MAX).max(1);
    let (mut kill_due, mut kill_at, mut fault_at, mut server_at) = (FIRST, FIRST, FIRST, FIRST);
    loop {
        let at = kill_at.min(fault_at).min(server_at);
        if at >= options.time {
            break;
        }
        if at == kill_at {
            // What is late because no worker was free is made up for.
            if plan.kill(at) {
                kill_due += plan.spread(between_kills);
                kill_at = kill_due.max(at + KILL_AGAIN);
            } else {
                kill_at = at + KILL_AGAIN;
            }
        } else if at == fault_at {
            plan.fault(at);
            fault_at = at + plan.dice.millis(FAULT_PAUSE[0], FAULT_PAUSE[1]) * 4 / workers;
        } else {
            let took = if options.may_disturb_server { plan.of_server(at) } else { Duration::ZERO };
            server_at = at + took + plan.dice.millis(2000, 8000);
        }
    }
    plan.steps.sort_by_key(|step| step.at);
    plan.steps
}

/// How long a killed worker is missed at most: not so long that too few run.
fn pause_max(options: &Options) -> u64 {
    let all_killed = 1000.0 * options.workers as f64 / options.kills_per_second.max(0.001);
    (all_killed as u64 / 3).clamp(100, 1500)
}

struct Plan {
    dice: Dice,
    steps: Vec<Step>,
    /// When the last fault of each worker has ended.
    free: Vec<Duration>,
    pause_max: u64,
}

impl Plan {
    fn step(&mut self, at: Duration, action: Action) {
        self.steps.push(Step { at, action });
    }

    /// A time of this length on average.
    fn spread(&mut self, average: Duration) -> Duration {
        let millis = (average.as_millis() as u64).max(1);
        self.dice.millis(millis / 2, millis * 3 / 2).max(Duration::from_millis(1))
    }

    /// A worker without a current fault, if more than this number have none.
    fn pick(&mut self, at: Duration, rest: usize) -> Option<usize> {
        let idle: Vec<usize> = (0..self.free.len()).filter(|worker| self.free[*worker] <= at).collect();
        (idle.len() > rest).then(|| idle[self.dice.index(idle.len())])
    }

    /// Half of the kills are at a named point. One worker always stays without a fault. Returns whether one is killed.
    fn kill(&mut self, at: Duration) -> bool {
        let Some(worker) = self.pick(at, 1) else { return false };
        let mut killed = at;
        if self.dice.throw(2) == 0 {
            let point = Point { call: self.dice.index(1000), has_run: self.dice.throw(2) == 0 };
            self.step(at, Action::KillAt(worker, point));
            killed += Duration::from_millis(POINT_PATIENCE.min(self.pause_max));
        }
        let start = killed + self.dice.millis(50, self.pause_max);
        self.step(killed, Action::Kill(worker));
        self.step(start, Action::Start(worker));
        self.free[worker] = start + self.dice.millis(200, 200 + self.pause_max / 2);
        true
    }

    /// Another fault of a worker. It leaves workers for the kills.
    fn fault(&mut self, at: Duration) {
        let rest = if self.free.len() > 2 { 1 + self.free.len() / 4 } else { 1 };
        let Some(worker) = self.pick(at, rest) else { return };
        let roll = self.dice.throw(14);
        let (first, last, time) = match roll {
            0..4 => (Action::Pause(worker), Action::Resume(worker), self.dice.millis(200, 3000)),
            4..6 => (Action::Leave(worker), Action::Start(worker), self.dice.millis(2500, 3000)),
            6..8 => (Action::Cut(worker), Action::Mend(worker), Duration::from_millis(1)),
            _ => {
                let way = self.way_to_break();
                (Action::Break(worker, way), Action::Mend(worker), self.dice.millis(300, 2500))
            }
        };
        self.step(at, first);
        self.step(at + time, last);
        self.free[worker] = at + time + self.dice.millis(300, 1500);
    }

    fn way_to_break(&mut self) -> Break {
        match self.dice.throw(8) {
            0 => Break::HalfOpen,
            1 => Break::RequestsAfter(self.dice.index(3000)),
            2 => Break::RepliesAfter(self.dice.index(3000)),
            3..6 => Break::LoseReply(self.dice.index(1000)),
            _ => Break::Withhold(self.dice.index(1000)),
        }
    }

    /// What others on the server may notice. Returns how long it takes.
    fn of_server(&mut self, at: Duration) -> Duration {
        match self.dice.throw(8) {
            0..3 => {
                let (queue, time) = (self.dice.index(2), self.dice.millis(500, 4000));
                self.step(at, Action::PauseQueue(queue));
                self.step(at + time, Action::ResumeQueue(queue));
                time
            }
            3..5 => {
                let choice = self.dice.index(1000);
                self.step(at, Action::FailOver(choice));
                Duration::from_secs(10)
            }
            _ => {
                self.step(at, Action::FlushScripts);
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests;
