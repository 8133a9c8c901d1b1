//! Held jobs that expire: they do not wait for their flow.

use postrider_queue::job::Job;

use super::job::{self, FLOW_ID};
use super::{Invariant, Rules, SHARD, TICK_MS, World};
use crate::calls::Held;
use crate::faults::Fate;
use crate::redis::{Bytes, Id, Value};

impl World {
    /// Admits the held jobs that have expired, whatever the limits of their flow.
    pub(super) fn expire(&mut self, rules: &Rules, worker: usize, fate: Fate) {
        let expired = std::mem::take(&mut self.workers[worker].expired);
        let call = SHARD.admit(&FLOW_ID, 0, 0, 1000, &expired, None);
        let reply = self.call(rules, &call, fate);
        if let (e2e::resp::Reply::Array(parts), Fate::Answered) = (&reply, fate) {
            self.saw_time(worker, &parts[2]);
        }
    }

    /// The held jobs, and when each expires.
    fn expiring(&self) -> Vec<(Bytes, u64)> {
        let Some(Value::Hash(waiting)) = self.value("waiting") else { return vec![] };
        let Some(Value::Sorted(held)) = self.value(&format!("flow:{}", *FLOW_ID)) else { return vec![] };
        let expires = |packed: &[u8]| job::expires_of(packed);
        waiting
            .iter()
            .filter(|(job_id, _)| held.contains_key(*job_id))
            .filter_map(|(job_id, packed)| Some((job_id.clone(), expires(packed)?)))
            .collect()
    }

    /// Whether each held job that expires is listed for it.
    pub(super) fn has_all_expiring(&self) -> bool {
        let listed = match self.value("expiring") {
            Some(Value::Sorted(set)) => Some(set),
            _ => None,
        };
        self.expiring().into_iter().all(|(job_id, _)| {
            let member = [FLOW_ID.as_bytes(), &job_id].concat();
            listed.is_some_and(|listed| listed.contains_key(&member))
        })
    }

    /// Liveness: a job that expires leaves its flow in time, whatever its flow does. `None` if all do.
    pub(super) fn never_expires(&self, rules: &Rules) -> Option<Invariant> {
        let last = self.expiring().into_iter().map(|(_, expires)| expires).max()?;
        let mut world = self.clone();
        // A worker that sees the time late is late.
        while world.server.db.now <= last + TICK_MS {
            for worker in 0..super::WORKERS {
                world.take_turns(rules, worker, false);
            }
            let broken = world.broken.or_else(|| world.first_broken());
            if broken.is_some() {
                return broken;
            }
            world.forget_attempts();
            world.pass(rules);
        }
        let is_late =
            world.expiring().into_iter().any(|(_, expires)| expires + TICK_MS < world.server.db.now);
        is_late.then_some(Invariant::Expiry)
    }

    /// Whether a job asks for a result.
    pub(super) fn wants_result(job: &Job) -> bool {
        job.result_ttl.is_some()
    }

    /// Whether Redis has the result of a job.
    pub(super) fn has_result(&self, job_id: &str) -> bool {
        self.value(&format!("result:{job_id}")).is_some()
    }

    /// Whether a job that may still be sent has a result.
    pub(super) fn has_early_result(&self, number: usize) -> bool {
        let is_it = |fields: &[Bytes]| fields.iter().any(|part| job::number_of(part) == Some(number));
        let entries = self.jobs().into_iter().flat_map(|stream| &stream.entries);
        let in_stream = entries.filter(|(_, fields)| is_it(fields)).any(|(id, fields)| {
            let delivery = job::delivery(*id, 1, fields);
            let job_id = postrider_queue::work::fields::job_id(&delivery);
            self.has_result(&String::from_utf8_lossy(&job_id))
        });
        let waits = match self.value("waiting") {
            Some(Value::Hash(waiting)) => waiting
                .iter()
                .filter(|(_, packed)| job::number_of(packed) == Some(number))
                .any(|(job_id, _)| self.has_result(&String::from_utf8_lossy(job_id))),
            _ => false,
        };
        in_stream || waits
    }

    /// A settlement has ended a job: it must have left the result that the job asks for.
    pub(super) fn check_result(&mut self, held: &Held, id: Id, fields: &[Bytes]) {
        let delivery = job::delivery(id, held.count, fields);
        let job_id = postrider_queue::work::fields::job_id(&delivery);
        let wants = Job::decode(&delivery).is_ok_and(|job| Self::wants_result(&job));
        if wants && !self.has_result(&String::from_utf8_lossy(&job_id)) {
            self.broken = Some(Invariant::Result);
        }
    }
}
