//! The steps that are possible in a state.

use super::control::Pausable;
use super::fault::Fault;
use super::job::{FLOW_ID, Shape, fields_of};
use super::worker::{Answer, Life};
use super::{JOBS, Rules, SHARD, Slip, World};
use crate::faults::{Fate, Kind};
use crate::redis::{Id, Value};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pass,
    Enqueue(usize, Shape, Fate),
    Fetch(usize, Fate),
    Try(usize, Id, Answer),
    Settle(usize, Id, Fate),
    Promote(usize, Fate),
    Admit(usize, Fate),
    Expire(usize, Fate),
    ReadControl(usize),
    Resume(Pausable),
    Sweep(usize),
    Requeue(usize),
    ClaimLost(usize),
    Ask(usize),
    Reclaim(usize, Fate),
    Start(usize),
    Continue(usize),
    FreeMemory,
    Happen(Fault, Fate),
}

/// The commands without which a script is tried.
const RIGHTS: [&str; 7] = ["xadd", "xdel", "xack", "zadd", "hset", "hdel", "set"];

impl World {
    /// The fates that a call may have.
    fn fates(&self) -> Vec<Fate> {
        let mut fates = vec![Fate::Answered];
        fates.extend(self.left.has(Kind::Reply).then_some(Fate::Lost));
        if self.left.has(Kind::Rights) {
            fates.extend(RIGHTS.map(Fate::Denied));
        }
        fates
    }

    /// All steps. `shapes` are those of the jobs.
    pub(crate) fn actions(&self, rules: &Rules, shapes: &[Shape; JOBS]) -> Vec<Action> {
        let mut actions = vec![];
        if self.broken.is_some() {
            return actions;
        }
        let fates = self.fates();
        for worker in 0..self.workers.len() {
            match self.workers[worker].life {
                Life::Up => self.add_loops(rules, worker, &fates, &mut actions),
                Life::Paused => actions.push(Action::Continue(worker)),
                Life::Absent if self.workers[worker].process < 3 => actions.push(Action::Start(worker)),
                Life::Absent => {}
            }
        }
        // In their order: they are alike.
        if let Some(job) = (0..rules.jobs).find(|job| !self.server.is_enqueued[*job]) {
            actions.push(Action::Enqueue(job, shapes[job], Fate::Answered));
            actions.extend(self.left.has(Kind::Reply).then_some(Action::Enqueue(
                job,
                shapes[job],
                Fate::Lost,
            )));
        }
        if self.server.db.is_full {
            actions.push(Action::FreeMemory);
        }
        let is_set = |what: &Pausable| self.server.pauses[*what as usize].is_some();
        actions.extend(Pausable::ALL.into_iter().filter(is_set).map(Action::Resume));
        for fault in Fault::possible(self).into_iter().filter(|fault| self.left.has(fault.kind())) {
            let is_script = matches!(
                fault,
                Fault::Cancel(_) | Fault::RunNow(_) | Fault::Replay(_) | Fault::PauseJobs(..)
            );
            let fates = if is_script { &fates[..] } else { &[Fate::Answered] };
            actions.extend(fates.iter().map(|fate| Action::Happen(fault, *fate)));
        }
        if self.tick < rules.ticks_max {
            actions.push(Action::Pass);
        }
        actions
    }

    fn add_loops(&self, rules: &Rules, worker: usize, fates: &[Fate], actions: &mut Vec<Action>) {
        let own = &self.workers[worker];
        if own.flights.len() < JOBS && self.has_new() && !self.pauses(worker, Pausable::Queue) {
            actions.push(Action::Fetch(worker, Fate::Answered));
            actions.extend(self.left.has(Kind::Reply).then_some(Action::Fetch(worker, Fate::Lost)));
        }
        for (id, flight) in &own.flights {
            if flight.ending.is_some() {
                actions.extend(fates.iter().map(|fate| Action::Settle(worker, *id, *fate)));
                continue;
            }
            actions.extend([Answer::Success, Answer::Failure].map(|answer| Action::Try(worker, *id, answer)));
            actions.extend(flight.is_limited().then_some(Action::Try(worker, *id, Answer::Held)));
        }
        if rules.slip != Some(Slip::Promotion) && self.has_due_jobs() {
            actions.extend(fates.iter().map(|fate| Action::Promote(worker, *fate)));
        }
        if own.wakes {
            actions.extend(fates.iter().map(|fate| Action::Admit(worker, *fate)));
        }
        if !own.expired.is_empty() {
            actions.extend(fates.iter().map(|fate| Action::Expire(worker, *fate)));
        }
        if self.has_news(worker) {
            actions.push(Action::ReadControl(worker));
        }
        let has_waiting = matches!(self.value("waiting"), Some(Value::Hash(_)));
        if has_waiting && self.is_damaged && rules.slip != Some(Slip::Sweep) {
            actions.push(Action::Sweep(worker));
        }
        if !own.swept.is_empty() {
            actions.push(Action::Requeue(worker));
        }
        if self.has_lost() && rules.slip != Some(Slip::SearchForLost) {
            actions.push(Action::ClaimLost(worker));
        }
        if own.is_asked {
            let fates = fates.iter().filter(|fate| !matches!(fate, Fate::Denied(_)));
            actions.extend(fates.map(|fate| Action::Reclaim(worker, *fate)));
        } else if (self.has_expired(worker) || self.left.has(Kind::Clock))
            && self.may_reclaim(rules, worker)
            && !self.pauses(worker, Pausable::Queue)
            && rules.slip != Some(Slip::Takeover)
        {
            actions.push(Action::Ask(worker));
        }
    }

    /// The state after a step; `None` if it is not possible.
    pub(crate) fn after(&self, rules: &Rules, action: Action) -> Option<World> {
        let mut next = self.clone();
        let fate = match action {
            Action::Enqueue(_, _, fate) | Action::Fetch(_, fate) | Action::Settle(_, _, fate) => fate,
            Action::Promote(_, fate) | Action::Admit(_, fate) | Action::Reclaim(_, fate) => fate,
            Action::Expire(_, fate) => fate,
            Action::Happen(fault, fate) => {
                next.left.spend(fault.kind());
                fate
            }
            _ => Fate::Answered,
        };
        // Whether a right is missing shows in the call.
        if fate == Fate::Lost {
            next.left.spend(Kind::Reply);
        }
        next.step(rules, action)?;
        if !next.left.has(Kind::Failover) {
            next.past = None;
        }
        Some(next)
    }

    fn step(&mut self, rules: &Rules, action: Action) -> Option<()> {
        match action {
            Action::Pass => self.pass(rules),
            Action::Enqueue(job, shape, fate) => self.enqueue(rules, job, shape, fate),
            Action::Fetch(worker, fate) => self.fetch(rules, worker, fate),
            Action::Try(worker, id, answer) => self.try_job(rules, worker, id, answer)?,
            Action::Settle(worker, id, fate) => self.settle(rules, worker, id, fate)?,
            Action::Promote(worker, fate) => self.promote(rules, worker, fate),
            Action::Admit(worker, fate) => self.admit(rules, worker, fate),
            Action::Expire(worker, fate) => self.expire(rules, worker, fate),
            Action::ReadControl(worker) => self.read_control(rules, worker),
            Action::Resume(what) => self.resume_jobs(rules, what),
            Action::Sweep(worker) => self.sweep(rules, worker),
            Action::Requeue(worker) => self.requeue(rules, worker),
            Action::ClaimLost(worker) => self.claim_lost(rules, worker),
            Action::Ask(worker) => self.ask(rules, worker),
            Action::Reclaim(worker, fate) => self.reclaim(rules, worker, fate),
            Action::Start(worker) => self.start_worker(worker, rules),
            Action::Continue(worker) => {
                let tick = self.tick;
                let own = &mut self.workers[worker];
                (own.life, own.reclaims_from) = (Life::Up, own.reclaims_from.max(tick + 2));
            }
            Action::FreeMemory => self.server.db.is_full = false,
            Action::Happen(fault, fate) => self.happen(rules, fault, fate)?,
        }
        Some(())
    }

    /// A producer enqueues a job: the second under a key, so that it may repeat the call.
    pub(super) fn enqueue(&mut self, rules: &Rules, job: usize, shape: Shape, fate: Fate) {
        let key = (job == 1).then_some(("k", 3_600_000));
        let call = SHARD.enqueue(key, 0, 0, &fields_of(job, shape, self.server.db.now));
        self.call(rules, &call, fate);
        if fate == Fate::Lost {
            let reply = self.call(rules, &call, Fate::Answered);
            if key.is_none() && matches!(reply, e2e::resp::Reply::Array(_)) {
                self.accounts[job].copies += 1;
            }
        }
        let is_there = self.jobs().is_some_and(|stream| {
            stream
                .entries
                .values()
                .flat_map(|fields| fields.iter())
                .any(|part| super::job::number_of(part) == Some(job))
        });
        self.server.is_enqueued[job] |= is_there;
    }

    /// Whether the flow holds jobs.
    pub(super) fn has_held(&self) -> bool {
        self.has_members(&format!("flow:{}", *FLOW_ID))
    }
}
