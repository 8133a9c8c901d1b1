//! Queue stats: one worker counts the jobs for all.

use fred::types::Value;

use crate::job::EntryId;
use crate::redis::{Error, GROUP, QueueShard, unexpected};

/// An entry's id with an older time was chosen by its producer, ms.
const WAIT_MS_MAX: u64 = 366 * 24 * 3600 * 1000;

/// The jobs of a shard, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Jobs in the stream, for any worker.
    pub ready: u64,
    /// Jobs in flight at workers.
    pub running: u64,
    /// Jobs that wait for a time.
    pub scheduled: u64,
    /// Jobs that wait for their flow, or for their turn.
    pub held: u64,
    /// Dead letters.
    pub dead: u64,
    /// The age of the first ready job, ms; 0 if there is none. `None` if its entry id is no time, after a producer
    /// chose one.
    pub oldest_ms: Option<u64>,
    /// Dead letters that were deleted before their age, to keep within their bounds.
    pub dead_deleted: u64,
    /// The same of rejected entries.
    pub rejected_deleted: u64,
    /// Dead letters that stop the later jobs of their order keys.
    pub stopped_keys: u64,
    /// The time of the count: Redis' time, Unix ms.
    pub at_ms: u64,
}

impl QueueShard {
    /// Counts the jobs of this shard. With `only_one`, returns `None` if another worker counts.
    ///
    /// # Errors
    /// fred's.
    pub async fn stats(&self, only_one: bool) -> Result<Option<QueueStats>, Error> {
        let own = &self.0.keys;
        let keys = vec![
            own.jobs.clone(),
            own.waiting.clone(),
            own.scheduled.clone(),
            own.dead.clone(),
            own.workers.clone(),
            own.sizes.clone(),
            own.order_waiting.clone(),
            own.order_stopped.clone(),
        ];
        let only_one = if only_one { "1" } else { "0" };
        let args = vec![GROUP.into(), self.0.consumer.name.as_str().into(), only_one.into()];
        parse(self.0.scripts.stats.poll(&self.0.redis, keys, args).await?)
    }
}

fn parse(reply: Value) -> Result<Option<QueueStats>, Error> {
    if matches!(&reply, Value::Array(list) if list.is_empty()) || reply.is_null() {
        return Ok(None);
    }
    type Counts = (u64, u64, u64, u64, u64, u64, String, u64, u64, u64);
    let counts: Counts = reply.convert().map_err(|_| unexpected())?;
    let (now, ready, running, scheduled, held, dead, first, dead_deleted, rejected_deleted, stopped_keys) =
        counts;
    let age = |id: EntryId| now.checked_sub(id.millis).filter(|age| *age < WAIT_MS_MAX);
    let oldest_ms = if first.is_empty() { Some(0) } else { EntryId::parse(first.as_bytes()).and_then(age) };
    let letters = QueueStats { dead, dead_deleted, rejected_deleted, stopped_keys, ..QueueStats::default() };
    Ok(Some(QueueStats { ready, running, scheduled, held, oldest_ms, at_ms: now, ..letters }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_workers_part_is_no_stats_and_an_id_that_a_producer_chose_has_no_age() {
        let reply = |first: &str| {
            let counts = [1_795_396_101_000_i64, 5, 4, 3, 2, 1].map(Value::Integer);
            let letters = [7, 8, 9].map(Value::Integer);
            Value::Array(counts.into_iter().chain([Value::from(first)]).chain(letters).collect())
        };
        assert_eq!(parse(Value::Array(vec![])).unwrap(), None);
        let stats = parse(reply("1795396100000-3")).unwrap().unwrap();
        let (oldest_ms, at_ms) = (Some(1000), 1_795_396_101_000);
        assert_eq!(
            stats,
            QueueStats {
                ready: 5,
                running: 4,
                scheduled: 3,
                held: 2,
                dead: 1,
                oldest_ms,
                dead_deleted: 7,
                rejected_deleted: 8,
                stopped_keys: 9,
                at_ms
            }
        );
        for (first, oldest_ms) in [("1-1", None), ("9999999999999-0", None), ("", Some(0))] {
            assert_eq!(parse(reply(first)).unwrap().unwrap().oldest_ms, oldest_ms, "{first}");
        }
    }
}
