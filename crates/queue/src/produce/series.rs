//! Enqueues jobs without any key in calls that Redis runs one after the other: while it runs one, the next is made.

use std::collections::BTreeMap;
use std::time::Duration;

use fred::types::{Key, Value};
use futures_util::stream::{FuturesOrdered, StreamExt};
use telemetry::{Context, Span};

use super::batch::Batch;
use super::enqueue::EnqueueError;
use crate::job::{EntryId, Fields};
use crate::redis::{Error, QueueShard, number, push_fields, unexpected};

/// How many jobs a call enqueues at most. Redis runs a call while the next is made, so few are enough.
const CALL_JOBS_MAX: usize = 250;
/// Their bytes at most, unless one job alone has more: two calls share the time that Redis has for an answer.
const CALL_BYTES_MAX: usize = 512 << 10;
/// How many jobs go into a shard before the next one has its turn.
const SHARD_JOBS_MAX: usize = 1000;
/// How many calls are under way.
const CALLS_MAX: usize = 2;
/// How long Redis remembers a series after a call: longer than the next one takes.
const REMEMBERED: Duration = Duration::from_secs(60);
/// After the last one.
const FORGOTTEN: Duration = Duration::from_millis(1);

/// A call of a series.
struct Call {
    keys: Vec<Key>,
    args: Vec<Value>,
    count: usize,
}

/// A call that Redis has answered.
struct Answered<'i> {
    indices: &'i [usize],
    roots: BTreeMap<usize, Span>,
    call: Call,
    entries: Result<Vec<EntryId>, Error>,
}

impl Batch<'_> {
    /// Enqueues jobs without any key, in their order, in shards that take turns. None is enqueued behind one that Redis refuses.
    pub(super) async fn enter_in_turn(&mut self, shards: u32, indices: &[usize]) -> Result<(), EnqueueError> {
        let jobs_max = if shards > 1 { SHARD_JOBS_MAX } else { usize::MAX };
        let first = fastrand::u32(..shards) as usize;
        for (shard, indices) in (0..shards).cycle().skip(first).zip(indices.chunks(jobs_max)) {
            self.enter_in_series(shard, indices).await?;
        }
        Ok(())
    }

    /// Enqueues jobs without any key in one shard. None is enqueued behind one that Redis refuses.
    async fn enter_in_series(&mut self, shard: u32, indices: &[usize]) -> Result<(), EnqueueError> {
        let queue = self.redis.producer_shard(self.name, shard);
        let publish = self.publish.clone();
        let calls = self.calls(indices, (CALL_JOBS_MAX, CALL_BYTES_MAX));
        let last = calls.len().saturating_sub(1);
        let mut series = (last > 0).then(|| queue.0.keys.series(fastrand::u64(..)));
        let mut left = calls.into_iter().enumerate();
        let (mut under_way, mut failed) = (FuturesOrdered::new(), None);
        loop {
            let calls_max = if series.is_some() { CALLS_MAX } else { 1 };
            while failed.is_none() && under_way.len() < calls_max {
                let Some((number, indices)) = left.next() else { break };
                let roots = self.roots(&queue, indices);
                let jobs = indices.iter().map(|index| &self.jobs[*index]);
                let remembered = if number == last { FORGOTTEN } else { REMEMBERED };
                let call = Call::new(&queue, series.as_ref(), (number, remembered), jobs);
                let (queue, publish) = (&queue, &publish);
                under_way.push_back(async move {
                    let entries = call.send(queue, publish).await;
                    Answered { indices, roots, call, entries }
                });
            }
            let Some(mut answered) = under_way.next().await else { return failed.map_or(Ok(()), Err) };
            if failed.is_none() && answered.entries.as_ref().is_err_and(is_of_series) {
                // All calls before it are enqueued, and the one behind it is not.
                series = None;
                answered.call.keys.truncate(1);
                answered.entries = answered.call.send(&queue, &publish).await;
            }
            let entered = answered
                .entries
                .map(|entries| entries.into_iter().map(|entry| Some((entry, false))).collect());
            let entered = self.entered(shard, answered.indices, &answered.roots, entered);
            failed = failed.or(entered.err());
        }
    }
}

impl Call {
    /// `before` is how many calls of the series are before this one; `remembered` is how long Redis remembers the series.
    fn new<'a>(
        queue: &QueueShard,
        series: Option<&Key>,
        (before, remembered): (usize, Duration),
        jobs: impl Iterator<Item = &'a Fields>,
    ) -> Self {
        let keys = std::iter::once(&queue.0.keys.jobs).chain(series).cloned().collect();
        let mut args = vec![number(before as u64), number(remembered.as_millis() as u64)];
        let mut count = 0;
        for fields in jobs {
            args.push(number(2 * fields.len() as u64));
            push_fields(&mut args, fields);
            count += 1;
        }
        Self { keys, args, count }
    }

    async fn send(&self, queue: &QueueShard, parent: &Context) -> Result<Vec<EntryId>, Error> {
        let script = &queue.0.scripts.enqueue_in_series;
        let make = || (self.keys.clone(), self.args.clone());
        let reply = script.call_with(&queue.0.redis, parent, &queue.0.keys.jobs, make).await?;
        let ids: Vec<bytes::Bytes> = reply.convert()?;
        let entries: Option<Vec<EntryId>> = ids.iter().map(|id| EntryId::parse(id)).collect();
        entries.filter(|entries| entries.len() == self.count).ok_or_else(unexpected)
    }
}

/// Whether Redis refuses a call only as one of a series: it has not run the call before, or it moves the slot of a cluster and has only
/// one of the two keys.
fn is_of_series(error: &Error) -> bool {
    matches!(fred_otel::reply_code(error), Some("BEHIND" | "TRYAGAIN"))
}
