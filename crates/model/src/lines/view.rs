//! What Redis has: the jobs, their callbacks, their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use postrider_queue::job::{Delivery, LinePlace};
use postrider_queue::work::fields;

use super::{ATTEMPTS_MAX, JOBS, Lines, SHARD};
use crate::calls::GROUP;
use crate::redis::{Bytes, Id, SortedSet, Stream, Value};
use crate::world::job;

/// The order key of the jobs.
const ORDER: &str = "k";
/// The two kinds of callbacks.
const KINDS: [&str; 2] = ["done", "failed"];

/// Where a kind of callback of a job goes to.
fn callback_url(kind: usize, job: usize) -> String {
    format!("http://h.example/{}{job}", KINDS[kind])
}

/// The fields that a producer sends.
pub(super) fn fields_of(job: usize) -> Vec<Bytes> {
    let (url, most) = (job::url(job), ATTEMPTS_MAX.to_string());
    let [done, failed] = [0, 1].map(|kind| callback_url(kind, job));
    let mut fields = vec!["url", &url, "order", ORDER, "max_attempts", &most];
    if has_callbacks(job) {
        fields.extend(["on_success", &done, "on_failure", &failed]);
    }
    fields.into_iter().map(|part| part.as_bytes().to_vec()).collect()
}

/// Whether the ends of a job are reported.
pub(super) fn has_callbacks(job: usize) -> bool {
    job == 1
}

pub(super) fn is_callback(fields: &[Bytes]) -> bool {
    fields.chunks_exact(2).any(|pair| pair[0] == b"_callback_of")
}

/// The job and the kind of a callback.
pub(super) fn callback_of(fields: &[Bytes]) -> Option<(usize, usize)> {
    let url = fields.chunks_exact(2).find(|pair| pair[0] == b"url").map(|pair| &pair[1])?;
    let all = (0..JOBS).flat_map(|job| [(job, 0), (job, 1)]);
    all.filter(|_| is_callback(fields)).find(|(job, kind)| callback_url(*kind, *job).as_bytes() == url)
}

/// The number of an ordered job.
pub(super) fn number_of(fields: &[Bytes]) -> Option<usize> {
    if is_callback(fields) { None } else { fields.iter().find_map(|part| job::number_of(part)) }
}

/// The place of a delivery; `None` for a job without an order key.
pub(super) fn place_of(delivery: &Delivery) -> Option<LinePlace> {
    LinePlace::of(&delivery.fields, &fields::job_id(delivery))
}

impl Lines {
    fn value(&self, name: &str) -> Option<&Value> {
        Some(&*self.redis.db.keys.get(&SHARD.key(name))?.value)
    }

    pub(super) fn stream(&self, name: &str) -> Option<&Stream> {
        if let Some(Value::Stream(stream)) = self.value(name) { Some(stream) } else { None }
    }

    pub(super) fn hash(&self, name: &str) -> Option<&BTreeMap<Bytes, Bytes>> {
        if let Some(Value::Hash(hash)) = self.value(name) { Some(hash) } else { None }
    }

    pub(super) fn set(&self, name: &str) -> Option<&SortedSet> {
        if let Some(Value::Sorted(set)) = self.value(name) { Some(set) } else { None }
    }

    /// The entries of a job in a stream.
    pub(super) fn entries_of(&self, stream: &str, job: usize) -> Vec<(Id, Arc<[Bytes]>)> {
        let entries = self.stream(stream).into_iter().flat_map(|stream| &stream.entries);
        let own = entries.filter(|(_, fields)| number_of(fields) == Some(job));
        own.map(|(id, fields)| (*id, fields.clone())).collect()
    }

    /// The ids under which a job waits in a hash.
    pub(super) fn waiting_of(&self, hash: &str, job: usize) -> Vec<Bytes> {
        let all = self.hash(hash).into_iter().flatten();
        let own = all.filter(|(_, packed)| job::number_of(packed) == Some(job));
        own.map(|(job_id, _)| job_id.clone()).collect()
    }

    /// How often a job is there, and may still be sent.
    pub(super) fn live(&self, job: usize) -> usize {
        let waiting = self.waiting_of("waiting", job).len() + self.waiting_of("order_waiting", job).len();
        self.entries_of("jobs", job).len() + waiting
    }

    /// How many callbacks of a job there are that were not delivered, of each kind.
    pub(super) fn callbacks(&self, job: usize) -> [u8; 2] {
        let mut found = [0; 2];
        let entries = self.stream("jobs").into_iter().flat_map(|stream| stream.entries.values());
        for (own, kind) in entries.filter_map(|fields| callback_of(fields)) {
            found[kind] += u8::from(own == job);
        }
        found
    }

    /// The places, in the order of their line.
    pub(super) fn places(&self) -> Vec<LinePlace> {
        let members = self.set("order").into_iter().flat_map(|set| set.keys());
        members.filter_map(|place| LinePlace::parse(&String::from_utf8_lossy(place))).collect()
    }

    /// The places of dead letters that stop the line.
    pub(super) fn stopped(&self) -> Vec<String> {
        let places = self.hash("order_stopped").into_iter().flat_map(|hash| hash.keys());
        places.map(|place| String::from_utf8_lossy(place).into_owned()).collect()
    }

    /// Whether an entry is pending for a worker at a delivery count.
    pub(super) fn is_held(&self, worker: usize, id: Id, count: u64) -> bool {
        let group = self.stream("jobs").and_then(|stream| stream.groups.get(GROUP.as_bytes()));
        let pending = group.and_then(|group| group.pending.get(&id));
        pending.is_some_and(|own| own.consumer == self.name(worker).as_bytes() && own.count == count)
    }

    /// Whether there are jobs that no worker has fetched.
    pub(super) fn has_new(&self) -> bool {
        let Some(stream) = self.stream("jobs") else { return false };
        let group = stream.groups.get(GROUP.as_bytes());
        group.is_some_and(|group| stream.entries.keys().any(|id| *id > group.delivered))
    }
}
