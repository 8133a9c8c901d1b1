//! Leases: a worker renews them, and learns which are lost.

use e2e::resp::Reply;

use super::job;
use super::{Invariant, LEASE_MS, Rules, SHARD, Slip, World};
use crate::calls::{GROUP, Held};
use crate::faults::Fate;
use crate::redis::Id;

impl World {
    /// Redis has refused a lease. A worker that runs loses none, unless somebody has a hand in it, or the job is over.
    pub(super) fn refused(&mut self, worker: usize, id: Id) {
        let Some(flight) = self.workers[worker].flights.get(&id) else { return };
        let job = flight.fields.iter().find_map(|part| job::number_of(part));
        let is_over = job.is_some_and(|job| self.server.is_over[job]);
        if flight.in_doubt {
            self.workers[worker].flights.remove(&id);
            return;
        }
        if !self.is_disturbed && !is_over {
            self.broken = Some(Invariant::Lease);
        }
        self.give_up(worker, id);
    }

    /// Confirms a lease that was confirmed half a lease ago. Returns whether Redis answers; `None` if the lease is lost.
    pub(super) fn confirm(&mut self, rules: &Rules, worker: usize, id: Id) -> Option<bool> {
        let own = &self.workers[worker];
        if own.flights.get(&id)?.confirmed >= self.tick || rules.slip == Some(Slip::Confirmation) {
            return Some(true);
        }
        let is_answered = self.heartbeat(rules, worker);
        self.workers[worker].flights.contains_key(&id).then_some(is_answered)
    }

    /// Whether an entry is pending for a consumer at a delivery count.
    pub(super) fn is_held(&self, held: &Held, id: Id) -> bool {
        let group = self.jobs().and_then(|stream| stream.groups.get(GROUP.as_bytes()));
        let pending = group.and_then(|group| group.pending.get(&id));
        pending.is_some_and(|own| own.consumer == held.consumer.as_bytes() && own.count == held.count)
    }

    /// Whether an entry is in the stream, or pending for any consumer.
    pub(super) fn is_ready_or_pending(&self, id: Id) -> bool {
        self.jobs().is_some_and(|stream| {
            let group = stream.groups.get(GROUP.as_bytes());
            stream.entries.contains_key(&id) || group.is_some_and(|group| group.pending.contains_key(&id))
        })
    }

    /// A worker renews its leases, and learns which are lost. Returns whether Redis answers.
    pub(super) fn heartbeat(&mut self, rules: &Rules, worker: usize) -> bool {
        let own = &self.workers[worker];
        let leases: Vec<(String, u64)> =
            own.flights.iter().map(|(id, flight)| (id.to_string(), flight.count)).collect();
        let ids: Vec<Id> = own.flights.keys().copied().collect();
        let reply = self.call(rules, &SHARD.extend(&own.name(), LEASE_MS, &leases), Fate::Answered);
        let Reply::Array(parts) = &reply else {
            self.join(rules, worker);
            return false;
        };
        self.saw_time(worker, &parts[0]);
        let letters = if let Reply::Bulk(letters) = &parts[1] { letters.clone() } else { vec![] };
        for (id, letter) in ids.into_iter().zip(letters) {
            if letter != b'o' {
                self.refused(worker, id);
            } else if let Some(flight) = self.workers[worker].flights.get_mut(&id) {
                flight.confirmed = self.tick;
            }
        }
        true
    }
}
