//! Liveness: from any state, once faults stop, all jobs end, callbacks are delivered, and nothing is left of the line.

use std::cell::RefCell;
use std::collections::HashSet;

use super::{Fate, Life, Lines, Stage, Step, Verdict, WORKERS};
use crate::redis::Id;
use crate::scripts::Sources;

thread_local! {
    /// States from which every job ends, if nothing goes wrong any more.
    static CALM: RefCell<HashSet<u64>> = RefCell::default();
}

/// How long it may take, in steps: two leases, the retries, and the time by which the clock was set back.
const STEPS: usize = 20;

impl Lines {
    /// What is wrong if some job does not end.
    pub(super) fn never_ends(&self, sources: &Sources) -> Option<&'static str> {
        let mut world = self.clone();
        world.redis.calm_down();
        for worker in 0..WORKERS {
            match world.workers[worker].life {
                Life::Absent => world.start_worker(sources, worker),
                Life::Paused => world.workers[worker].life = Life::Up,
                Life::Up => {}
            }
        }
        let mut passed = vec![];
        for _ in 0..STEPS {
            let state = sources.fingerprint(&world);
            if world.is_quiet() || CALM.with_borrow(|calm| calm.contains(&state)) {
                CALM.with_borrow_mut(|calm| calm.extend(passed));
                return None;
            }
            passed.push(state);
            for worker in 0..WORKERS {
                world.take_turns(sources, worker);
            }
            let broken = world.broken.or_else(|| world.first_broken());
            if broken.is_some() {
                return broken;
            }
            if world.is_stopped() {
                world.resume(sources, Fate::Answered);
            } else {
                world.pass(sources);
            }
        }
        Some("end: once faults stop, all jobs of a line end, and all callbacks are delivered")
    }

    /// Every loop of a worker has its turn.
    fn take_turns(&mut self, sources: &Sources, worker: usize) {
        self.work(sources, worker);
        if self.has_due() {
            self.do_step(sources, Step::Promote(worker, Fate::Answered));
        }
        if self.has_expired(worker) {
            self.do_step(sources, Step::Reclaim(worker, Fate::Answered));
        }
        // It is always on its way; it is needed where nothing else moves a job.
        if self.is_idle() && (!self.places().is_empty() || self.hash("order_waiting").is_some()) {
            self.sweep_waiting(sources, Fate::Answered);
            self.sweep_lines(sources, worker, Fate::Answered);
            self.drop_places(sources, worker, Fate::Answered);
        }
        self.work(sources, worker);
    }

    /// A worker fetches jobs, attempts them with success, and settles them.
    fn work(&mut self, sources: &Sources, worker: usize) {
        for _ in 0..6 {
            let ids: Vec<Id> = self.workers[worker].flights.keys().copied().collect();
            for id in ids {
                // Each step may end the delivery.
                for _ in 0..3 {
                    let stage = self.workers[worker].flights.get(&id).map(|flight| flight.stage);
                    self.do_step(
                        sources,
                        match stage {
                            Some(Stage::New) => Step::Ask(worker, Some(id), Fate::Answered),
                            Some(Stage::HasTurn) => Step::Begin(worker, id),
                            Some(Stage::Sending) => Step::Finish(worker, id, Verdict::Works, Fate::Answered),
                            Some(Stage::Ends(_)) => Step::Settle(worker, id, Fate::Answered),
                            None => break,
                        },
                    );
                }
            }
            if !self.has_new() {
                return;
            }
            self.do_step(sources, Step::Fetch(worker, Fate::Answered));
        }
    }

    /// Whether only what a dead letter stops is left.
    fn is_stopped(&self) -> bool {
        self.hash("order_stopped").is_some() && self.is_idle()
    }

    fn is_idle(&self) -> bool {
        let is_empty = self.stream("jobs").is_none_or(|stream| stream.entries.is_empty());
        is_empty
            && self.workers.iter().all(|worker| worker.flights.is_empty())
            && self.hash("waiting").is_none()
            && self.set("scheduled").is_none()
    }

    /// Whether all jobs have ended, and nothing is left of their line.
    fn is_quiet(&self) -> bool {
        self.is_idle()
            && self.hash("order_waiting").is_none()
            && self.hash("order_stopped").is_none()
            && self.places().is_empty()
    }
}
