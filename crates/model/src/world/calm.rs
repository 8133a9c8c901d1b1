//! Liveness: from any state, once faults stop and every loop has its turn, all jobs end.

use super::control::Pausable;
use super::worker::{Answer, Life};
use super::{Invariant, JOBS, Rules, Slip, WORKERS, World, fingerprint};
use crate::calls::GROUP;
use crate::faults::{Fate, Left};
use crate::redis::Id;

/// How long it may take, in ticks: two leases, the retries, and the time by which the clock was set back.
const TICKS: usize = 20;

impl World {
    /// Whether jobs do not end from here.
    pub(super) fn broken_end(&self, rules: &Rules) -> Option<Invariant> {
        let mut world = self.clone();
        world.left = Left::default();
        world.past = None;
        world.server.db.is_full = false;
        for worker in 0..WORKERS {
            match world.workers[worker].life {
                Life::Absent => world.start_worker(worker, rules),
                Life::Paused => world.workers[worker].life = Life::Up,
                Life::Up => {}
            }
        }
        world.forget_attempts();
        for what in Pausable::ALL {
            // The others end by themselves.
            if world.server.pauses[what as usize].is_some_and(|pause| pause.is_endless()) {
                world.resume_jobs(rules, what);
            }
        }
        if !world.is_damaged
            && let Some(broken) = world.never_expires(rules)
        {
            return Some(broken);
        }
        let mut passed = vec![];
        for _ in 0..TICKS {
            let state = fingerprint(&world);
            if world.is_quiet() || rules.calm.borrow().contains(&state) {
                rules.calm.borrow_mut().extend(passed);
                return None;
            }
            passed.push(state);
            for worker in 0..WORKERS {
                world.take_turns(rules, worker, true);
            }
            if let Some(broken) = world.broken.or_else(|| world.first_broken()) {
                return Some(broken);
            }
            world.forget_attempts();
            if !world.is_quiet() {
                world.pass(rules);
            }
        }
        Some(Invariant::End)
    }

    /// What was attempted so far explains no attempt from now on.
    pub(super) fn forget_attempts(&mut self) {
        self.accounts.iter_mut().for_each(|account| (account.sends, account.unwritten) = (0, 0));
    }

    /// Every loop of a worker has its turn. Without `admits`, flows have no room.
    pub(super) fn take_turns(&mut self, rules: &Rules, worker: usize, admits: bool) {
        if self.has_news(worker) {
            self.read_control(rules, worker);
        }
        self.work(rules, worker, admits);
        if rules.slip != Some(Slip::Promotion) && self.has_due_jobs() {
            self.promote(rules, worker, Fate::Answered);
        }
        if self.workers[worker].wakes && admits {
            self.admit(rules, worker, Fate::Answered);
        }
        if !self.workers[worker].expired.is_empty() {
            self.expire(rules, worker, Fate::Answered);
        }
        if self.has_lost() && rules.slip != Some(Slip::SearchForLost) {
            self.claim_lost(rules, worker);
        }
        if self.value("waiting").is_some() && rules.slip != Some(Slip::Sweep) {
            self.sweep(rules, worker);
            self.requeue(rules, worker);
        }
        if self.has_expired(worker)
            && !self.pauses(worker, Pausable::Queue)
            && rules.slip != Some(Slip::Takeover)
        {
            self.ask(rules, worker);
            if self.workers[worker].is_asked {
                self.reclaim(rules, worker, Fate::Answered);
            }
        }
        self.work(rules, worker, admits);
    }

    /// A worker fetches jobs, sends them with success, and settles them.
    fn work(&mut self, rules: &Rules, worker: usize, admits: bool) {
        for _ in 0..2 * JOBS {
            let ids: Vec<Id> = self.workers[worker].flights.keys().copied().collect();
            for id in ids {
                let Some(flight) = self.workers[worker].flights.get(&id) else { continue };
                if flight.ending.is_none() {
                    let answer = if !admits && flight.is_limited() { Answer::Held } else { Answer::Success };
                    self.try_job(rules, worker, id, answer);
                }
                self.settle(rules, worker, id, Fate::Answered);
            }
            if !self.has_new() || self.pauses(worker, Pausable::Queue) {
                return;
            }
            self.fetch(rules, worker, Fate::Answered);
        }
    }

    /// Whether no job waits or runs, and nothing is left of those that have ended.
    fn is_quiet(&self) -> bool {
        let pending = self.jobs().and_then(|stream| stream.groups.get(GROUP.as_bytes()));
        let is_idle = self.workers.iter().all(|worker| worker.flights.is_empty());
        let is_empty = self.jobs().is_none_or(|stream| stream.entries.is_empty());
        is_idle
            && is_empty
            && pending.is_some_and(|group| group.pending.is_empty())
            && self.value("waiting").is_none()
            && !self.has_members("scheduled")
            && !self.has_members("flows")
            && !self.has_members("expiring")
            && !self.has_held()
            && self.is_resumed()
    }
}
