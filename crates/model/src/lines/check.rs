//! What must be true in every state.

use std::sync::Arc;

use postrider_queue::job::LinePlace;

use super::settlement::job_id_of;
use super::view::{callback_of, has_callbacks};
use super::{JOBS, Lines};
use crate::redis::{Bytes, Id};
use crate::world::job;

impl Lines {
    pub(super) fn first_broken(&self) -> Option<&'static str> {
        (0..JOBS).find_map(|job| self.broken_job(job)).or_else(|| self.broken_line())
    }

    fn broken_job(&self, number: usize) -> Option<&'static str> {
        let account = &self.redis.truth[number];
        let (live, dead) = (self.live(number), self.entries_of("dead", number).len());
        if live + dead == 0 && !account.is_nowhere {
            return Some("place: an acknowledged job is in a place that a loop finds");
        }
        let is_one = live + dead + usize::from(account.is_nowhere) == 1;
        if !self.is_torn && !self.is_disordered && !is_one {
            return Some("once: a job is in one place");
        }
        let ends = if has_callbacks(number) { account.ends } else { [0; 2] };
        let (waiting, called) = (self.callbacks(number), account.called);
        if [0, 1].iter().any(|kind| waiting[*kind] + called[*kind] != ends[*kind]) {
            return Some(
                "callback: each end has one callback of its kind, and no callback is without its end",
            );
        }
        let entries = self.stream("jobs").into_iter().flat_map(|stream| stream.entries.values());
        let mut nested = entries.filter(|fields| callback_of(fields).is_some()).filter(|fields| {
            let mut pairs = fields.chunks_exact(2);
            pairs.any(|pair| pair[0] == b"_callback_of" && pair[1].ends_with(b"-callback"))
        });
        if nested.next().is_some() {
            return Some("callback: a callback has none");
        }
        let entries = self.stream("jobs").into_iter().flat_map(|stream| &stream.entries);
        let mut callbacks = entries.filter(|(_, fields)| callback_of(fields).is_some());
        let is_believed = |(id, fields): (&Id, &Arc<[Bytes]>)| {
            postrider_queue::work::fields::value(&job::delivery(*id, 1, fields).fields, "_callback_of")
                .is_some()
        };
        (!callbacks.all(is_believed)).then_some("callback: a worker knows whose callback it is")
    }

    /// What is wrong with the line: between two calls, it never waits for a sweep.
    fn broken_line(&self) -> Option<&'static str> {
        if self.is_torn || self.is_disordered {
            return None;
        }
        let (places, stopped) = (self.places(), self.stopped());
        let waits = |job_id: &str| {
            self.hash("order_waiting").is_some_and(|hash| hash.contains_key(job_id.as_bytes()))
        };
        if places.first().is_some_and(|first| waits(&first.job_id())) {
            return Some("turn: the first job of a line does not wait for its turn");
        }
        let waiting = self.hash("order_waiting").into_iter().flat_map(|hash| hash.keys());
        let has_place = |job_id: &&Vec<u8>| places.iter().any(|place| place.job_id().as_bytes() == **job_id);
        if !waiting.into_iter().all(|job_id| has_place(&job_id)) {
            return Some("turn: a job that waits for its turn has a place");
        }
        let ended = |place: &&LinePlace| {
            !stopped.iter().any(|own| own == place.as_str()) && self.is_nowhere(&place.job_id())
        };
        if places.iter().any(|place| ended(&place)) {
            return Some("turn: a job that has ended has no place, unless it stops its line");
        }
        let stops = self.redis.truth.iter().filter(|account| account.stops).count();
        (stops != stopped.len())
            .then_some("stop: a line is stopped while its dead letter stops it, and no longer")
    }

    /// Whether no job with this id is in the stream or waits.
    fn is_nowhere(&self, job_id: &str) -> bool {
        let waits = |name: &str| self.hash(name).is_some_and(|hash| hash.contains_key(job_id.as_bytes()));
        let entries = self.stream("jobs").into_iter().flat_map(|stream| &stream.entries);
        let is_it = |(id, fields): (&Id, &Arc<[Bytes]>)| job_id_of(&job::delivery(*id, 1, fields)) == job_id;
        !waits("waiting") && !waits("order_waiting") && !entries.into_iter().any(is_it)
    }
}
