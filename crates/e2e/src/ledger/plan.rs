//! Which part fails when: a plan made from a seed.

use std::time::Duration;

use super::Options;

/// A step of the plan. The number is the worker's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// SIGKILL; [`Action::Start`] follows.
    Kill(usize),
    /// SIGTERM; [`Action::Start`] follows.
    Leave(usize),
    Start(usize),
    /// SIGSTOP; [`Action::Resume`] follows.
    Pause(usize),
    Resume(usize),
    /// Closes all its connections to Redis.
    Cut(usize),
    /// Breaks its connections in this way; [`Action::Sweep`] follows.
    Break(usize, Break),
    Sweep(usize),
    FlushScripts,
    /// SIGKILL and a start.
    RestartRedis,
    /// SIGSTOP; [`Action::ResumeRedis`] follows.
    PauseRedis,
    ResumeRedis,
    /// Pauses the queue of this shard for all workers; [`Action::ResumeQueue`] follows.
    PauseQueue(usize),
    ResumeQueue(usize),
}

impl Action {
    /// The name in the account. `None` for an action that only ends another.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Action::Kill(_) => Some("SIGKILL of a worker"),
            Action::Leave(_) => Some("SIGTERM of a worker"),
            Action::Start(_) => Some("start of a worker"),
            Action::Pause(_) => Some("SIGSTOP of a worker"),
            Action::Cut(_) => Some("connections cut"),
            Action::Break(_, Break::HalfOpen) => Some("connections half open"),
            Action::Break(_, Break::RequestsAfter(_) | Break::RepliesAfter(_)) => {
                Some("connections cut in a message")
            }
            Action::Break(_, Break::LoseReply(_)) => Some("replies lost"),
            Action::Break(_, Break::Withhold(_)) => Some("calls withheld"),
            Action::FlushScripts => Some("SCRIPT FLUSH"),
            Action::RestartRedis => Some("SIGKILL of Redis"),
            Action::PauseRedis => Some("SIGSTOP of Redis"),
            Action::PauseQueue(_) => Some("pause of a queue"),
            Action::Resume(_) | Action::Sweep(_) | Action::ResumeRedis | Action::ResumeQueue(_) => None,
        }
    }
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    HalfOpen,
    RequestsAfter(usize),
    RepliesAfter(usize),
    /// Loses the reply to one of the calls that a worker makes, chosen by this number.
    LoseReply(usize),
    /// Withholds such a call, so that it never reaches Redis.
    Withhold(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) action: Action,
}

/// SplitMix64: a few lines, and the same numbers in every version.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.throw(to - from))
    }

    fn index(&mut self, below: usize) -> usize {
        usize::try_from(self.throw(below as u64)).expect("less than a usize")
    }

    fn way_to_break(&mut self) -> Break {
        match self.throw(8) {
            0 => Break::HalfOpen,
            1 => Break::RequestsAfter(self.index(3000)),
            2 => Break::RepliesAfter(self.index(3000)),
            3..6 => Break::LoseReply(self.index(1000)),
            _ => Break::Withhold(self.index(1000)),
        }
    }
}

/// The steps, ordered by time. Each fault ends within the plan or soon after it.
pub(super) fn plan(options: &Options) -> Vec<Step> {
    let mut dice = Dice(options.seed);
    let mut steps = Vec::new();
    let (mut at, mut redis_free) = (Duration::from_millis(1500), Duration::ZERO);
    let mut free = vec![Duration::ZERO; options.workers];
    while at < options.time {
        let roll = dice.throw(100);
        if roll < 12 && redis_free <= at {
            redis_free =
                at + of_redis(&mut dice, at, options.homes.len(), &mut steps) + dice.millis(2000, 6000);
        } else if let Some(worker) = pick(&mut dice, &free, at) {
            free[worker] = at + of_worker(&mut dice, at, worker, &mut steps) + dice.millis(300, 1500);
        }
        at += dice.millis(60, 450);
    }
    steps.sort_by_key(|step: &Step| step.at);
    steps
}

/// A worker without a current fault. At least one worker always stays without a fault.
fn pick(dice: &mut Dice, free: &[Duration], at: Duration) -> Option<usize> {
    let idle: Vec<usize> = (0..free.len()).filter(|worker| free[*worker] <= at).collect();
    (idle.len() > 1).then(|| idle[dice.index(idle.len())])
}

/// Adds a fault of Redis, or a pause of a queue, and returns how long it takes.
fn of_redis(dice: &mut Dice, at: Duration, homes: usize, steps: &mut Vec<Step>) -> Duration {
    let mut step = |at, action| steps.push(Step { at, action });
    match dice.throw(8) {
        0..3 => {
            step(at, Action::RestartRedis);
            Duration::from_secs(1)
        }
        3 => {
            let time = dice.millis(200, 2500);
            step(at, Action::PauseRedis);
            step(at + time, Action::ResumeRedis);
            time
        }
        4..6 => {
            let (home, time) = (dice.index(homes), dice.millis(500, 4000));
            step(at, Action::PauseQueue(home));
            step(at + time, Action::ResumeQueue(home));
            time
        }
        _ => {
            step(at, Action::FlushScripts);
            Duration::ZERO
        }
    }
}

/// Adds a fault of a worker and returns how long it takes.
fn of_worker(dice: &mut Dice, at: Duration, worker: usize, steps: &mut Vec<Step>) -> Duration {
    let roll = dice.throw(20);
    let (first, last, time) = match roll {
        0..6 => (Action::Kill(worker), Action::Start(worker), dice.millis(50, 1500)),
        6..10 => (Action::Pause(worker), Action::Resume(worker), dice.millis(200, 3000)),
        10..12 => (Action::Leave(worker), Action::Start(worker), dice.millis(2500, 3000)),
        12..14 => (Action::Cut(worker), Action::Sweep(worker), Duration::from_millis(1)),
        _ => {
            let way = dice.way_to_break();
            (Action::Break(worker, way), Action::Sweep(worker), dice.millis(300, 2500))
        }
    };
    steps.push(Step { at, action: first });
    steps.push(Step { at: at + time, action: last });
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(seed: u64) -> Options {
        Options {
            seed,
            time: Duration::from_secs(60),
            rate: 1,
            workers: 4,
            homes: super::super::ONE_QUEUE,
            hostile: false,
        }
    }

    #[test]
    fn a_seed_makes_one_plan() {
        let text = |seed| format!("{:?}", plan(&options(seed)));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }

    #[test]
    fn what_is_paused_is_resumed_and_killed_workers_are_restarted() {
        for seed in 0..50 {
            let steps = plan(&options(seed));
            let count = |test: fn(&Action) -> bool| steps.iter().filter(|step| test(&step.action)).count();
            assert_eq!(
                count(|action| matches!(action, Action::Pause(_))),
                count(|action| matches!(action, Action::Resume(_)))
            );
            assert_eq!(
                count(|action| matches!(action, Action::PauseQueue(_))),
                count(|action| matches!(action, Action::ResumeQueue(_)))
            );
            assert_eq!(
                count(|action| matches!(action, Action::Kill(_) | Action::Leave(_))),
                count(|action| matches!(action, Action::Start(_)))
            );
        }
    }
}
