//! The loops of a worker that find what does not move.

use super::view::place_of;
use super::{Fate, Lines, SHARD, Step};
use crate::calls::GROUP;
use crate::scripts::Sources;
use crate::world::replies::{bytes, parts};

/// How many entries a search reads in a call.
const ENTRIES_MAX: u64 = 4;

impl Lines {
    /// The steps of a worker's loops.
    pub(super) fn add_loops(&self, worker: usize, fates: &[Fate], steps: &mut Vec<Step>) {
        let mut add = |is_possible: bool, step: &dyn Fn(Fate) -> Step| {
            steps.extend(fates.iter().filter(|_| is_possible).map(|fate| step(*fate)));
        };
        let own = &self.workers[worker];
        add(self.has_due(), &|fate| Step::Promote(worker, fate));
        add(self.has_expired(worker) && own.reclaims_from <= self.redis.time, &|fate| {
            Step::Reclaim(worker, fate)
        });
        add(self.hash("order_waiting").is_some(), &|fate| Step::SweepWaiting(worker, fate));
        add(!self.places().is_empty(), &|fate| Step::SweepLines(worker, fate));
        add(!own.missing.is_empty(), &|fate| Step::DropPlaces(worker, fate));
    }

    /// Whether a job is due.
    pub(super) fn has_due(&self) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let now = self.redis.db.now as f64;
        self.set("scheduled").is_some_and(|set| set.values().any(|score| score.0 <= now))
    }

    /// Whether another consumer has had an entry for a whole lease, or this one has one that is not in flight.
    pub(super) fn has_expired(&self, worker: usize) -> bool {
        let group = self.stream("jobs").and_then(|stream| stream.groups.get(GROUP.as_bytes()));
        group.into_iter().flat_map(|group| &group.pending).any(|(id, pending)| {
            let is_idle = self.redis.db.now.saturating_sub(pending.delivered_at) >= super::LEASE_MS;
            let is_own = pending.consumer == self.name(worker).as_bytes();
            is_idle && !(is_own && self.workers[worker].flights.contains_key(id))
        })
    }

    pub(super) fn sweep_waiting(&mut self, sources: &Sources, fate: Fate) {
        self.call(sources, &SHARD.sweep_order_waiting(), fate);
    }

    /// Learns which jobs that have the turn are missing.
    pub(super) fn sweep_lines(&mut self, sources: &Sources, worker: usize, fate: Fate) {
        let reply = self.call(sources, &SHARD.sweep_lines(""), fate);
        if let ([_, _, missing], Fate::Answered) = (parts(&reply), fate) {
            let text = |place| String::from_utf8_lossy(&bytes(place)).into_owned();
            self.workers[worker].missing = parts(missing).iter().map(text).collect();
        }
    }

    /// Ends the places of jobs that are nowhere.
    pub(super) fn drop_places(&mut self, sources: &Sources, worker: usize, fate: Fate) {
        let mut lost = std::mem::take(&mut self.workers[worker].missing);
        let mut after = "-".to_owned();
        while !lost.is_empty() {
            let reply = self.call(sources, &SHARD.drop_places(&after, ENTRIES_MAX, &lost), fate);
            let ([next, left], Fate::Answered) = (parts(&reply), fate) else { return };
            let text = |place| String::from_utf8_lossy(&bytes(place)).into_owned();
            let left: Vec<String> = parts(left).iter().map(text).collect();
            after = text(next);
            if after.is_empty() {
                if left.iter().any(|place| self.has_job_of(place)) {
                    self.broken = Some("turn: a place ends only if its job is nowhere");
                }
                return;
            }
            lost = left;
        }
    }

    /// Whether the job of a place is somewhere.
    fn has_job_of(&self, place: &str) -> bool {
        let entries = self.stream("jobs").into_iter().flat_map(|stream| &stream.entries);
        let own =
            |(id, fields): (&_, &std::sync::Arc<[_]>)| place_of(&crate::world::job::delivery(*id, 1, fields));
        let is_there = entries.filter_map(own).any(|own| own.as_str() == place);
        let job_id = postrider_queue::job::LinePlace::parse(place).map(|place| place.job_id());
        let waits = |hash: &str| {
            let job_id = job_id.as_deref().unwrap_or_default();
            self.hash(hash).is_some_and(|hash| hash.contains_key(job_id.as_bytes()))
        };
        is_there || waits("waiting")
    }
}
