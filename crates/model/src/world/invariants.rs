//! Checks the invariants.

use super::job::{self, FLOW_ID};
use super::worker::{Conclusion, Flight, Worker};
use super::{ATTEMPTS_MAX, Invariant, JOBS, Rules, World};
use crate::calls::Held;
use crate::redis::{Id, Value};

impl World {
    /// How many copies of a job there are that may still be sent, and how many that are dead.
    pub(super) fn copies(&self, job: usize) -> [usize; 2] {
        let count = |name: &str| match self.value(name) {
            Some(Value::Stream(stream)) => {
                let is_it = |fields: &&std::sync::Arc<[crate::redis::Bytes]>| {
                    fields.iter().any(|part| job::number_of(part) == Some(job))
                };
                stream.entries.values().filter(is_it).count()
            }
            Some(Value::Hash(hash)) => {
                hash.values().filter(|packed| job::number_of(packed) == Some(job)).count()
            }
            _ => 0,
        };
        [count("jobs") + count("waiting"), count("dead") + count("rejected")]
    }

    /// An invariant that does not hold here, or from here on.
    pub(crate) fn check(&self, rules: &Rules) -> Option<Invariant> {
        self.broken.or_else(|| self.first_broken()).or_else(|| self.broken_end(rules))
    }

    pub(super) fn first_broken(&self) -> Option<Invariant> {
        for job in (0..JOBS).filter(|job| self.server.is_enqueued[*job]) {
            let ([live, dead], account) = (self.copies(job), &self.accounts[job]);
            let is_over = self.server.is_over[job];
            if live + dead == 0 && !is_over {
                return Some(Invariant::Place);
            }
            if live + dead + usize::from(is_over) > 1 + usize::from(account.copies) {
                return Some(Invariant::Once);
            }
            if account.copies + account.replays == 0 && self.has_early_result(job) {
                return Some(Invariant::Result);
            }
            if account.sends
                > ATTEMPTS_MAX * (1 + account.copies + account.replays)
                    + account.unwritten
                    + self.unwritable(job)
            {
                return Some(Invariant::Attempts);
            }
        }
        if !self.has_all_pauses() {
            return Some(Invariant::Pause);
        }
        if self.is_damaged {
            return None;
        }
        if !self.has_all_expiring() {
            return Some(Invariant::Expiry);
        }
        (!self.has_alarms()).then_some(Invariant::Alarm)
    }

    /// How many attempts of a job have an outcome that a worker has not written, and no longer can.
    fn unwritable(&self, job: usize) -> u8 {
        let flights =
            self.workers.iter().flat_map(|worker| worker.flights.iter().map(move |flight| (worker, flight)));
        let is_lost = |(worker, (id, flight)): &(&Worker, (&Id, &Flight))| {
            let held = Held { consumer: worker.name(), id: id.to_string(), count: flight.count };
            let is_it = flight.fields.iter().any(|part| job::number_of(part) == Some(job));
            is_it && flight.ending.is_some_and(Conclusion::is_of_attempt) && !self.is_held(&held, **id)
        };
        u8::try_from(flights.filter(is_lost).count()).unwrap_or(u8::MAX)
    }

    /// Whether every waiting job is scheduled for a time that comes, or held by a flow that is checked.
    fn has_alarms(&self) -> bool {
        let Some(Value::Hash(waiting)) = self.value("waiting") else { return true };
        let set = |name: &str| match self.value(name) {
            Some(Value::Sorted(set)) => Some(set),
            _ => None,
        };
        let (scheduled, held, flows) = (set("scheduled"), set(&format!("flow:{}", *FLOW_ID)), set("flows"));
        let is_checked = flows.is_some_and(|flows| flows.contains_key(FLOW_ID.as_bytes()));
        waiting.keys().all(|job_id| {
            let is_scheduled = scheduled.and_then(|set| set.get(job_id)).is_some_and(|score| score.0 < 1e15);
            is_scheduled || is_checked && held.is_some_and(|held| held.contains_key(job_id))
        })
    }
}
