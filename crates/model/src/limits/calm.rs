//! Liveness: from any state, once faults stop, each worker is granted an attempt, and gives it back.

use super::{Fate, Life, Limits, Step, Verdict, WORKERS};
use crate::scripts::Sources;

/// How long it may take, in ticks: a trial that is lost, and the pauses of the breaker.
const TICKS: u8 = 40;

impl Limits {
    /// What is wrong if some worker is never granted an attempt.
    pub(super) fn never_granted(&self, sources: &Sources) -> Option<&'static str> {
        let mut world = self.clone();
        world.redis.calm_down();
        for worker in 0..WORKERS {
            match world.workers[worker].life {
                Life::Absent => world.start_worker(worker),
                Life::Paused => world.workers[worker].life = Life::Up,
                Life::Up => {}
            }
            world.end_all(sources, worker);
        }
        if world.admitted.is_some() {
            world.do_step(sources, Step::Decline(0, Fate::Answered));
        }
        for worker in 0..WORKERS {
            let mut ticks = 0;
            while world.workers[worker].attempts == 0 {
                if ticks == TICKS {
                    return Some("grant: once faults stop, each worker is granted an attempt");
                }
                // The second call of a trial follows the first one.
                world.do_step(sources, Step::Begin(worker, Fate::Answered));
                if world.workers[worker].has_trial {
                    world.do_step(sources, Step::Begin(worker, Fate::Answered));
                }
                if world.workers[worker].attempts == 0 {
                    world.pass(sources);
                    ticks += 1;
                }
            }
            world.end_all(sources, worker);
            let broken = world.broken.or_else(|| world.exceeded());
            if broken.is_some() {
                return broken;
            }
        }
        None
    }

    /// Its attempts end with success.
    fn end_all(&mut self, sources: &Sources, worker: usize) {
        while self.workers[worker].attempts > 0 {
            let is_trial = self.workers[worker].trials > 0;
            self.do_step(sources, Step::End(worker, is_trial, Verdict::Works, Fate::Answered));
        }
        self.report_count(sources, worker, Fate::Answered);
    }
}
