//! Chooses the shard of a job.

use bytes::Bytes;

use super::enqueue::{EnqueueError, Enqueuing, IdempotencyKey, Publication};
use crate::job::{EntryId, Fields};
use crate::redis::{Error, QueueName, QueueShard, Redis, SHARDS_MAX, number, unexpected};

/// How often an enqueue follows a number of shards that changes.
pub(super) const MOVES_MAX: usize = 5;

impl Redis {
    /// Enqueues a job into any shard of a queue. An order key always selects the same shard, and without one an
    /// idempotency key does. After the number of shards has changed, the idempotency key also counts where former numbers
    /// selected its shard, for its whole life.
    ///
    /// # Errors
    /// [`EnqueueError`].
    pub async fn enqueue(
        &self,
        name: &QueueName,
        fields: Fields,
        how: &Enqueuing,
    ) -> Result<Publication, EnqueueError> {
        let order = order_key(&fields).cloned();
        let Some(key) = &how.key else {
            let count = self.recent_shards(name).await?;
            let shard = order.map_or_else(|| fastrand::u32(..count), |order| home_of(&order, count));
            return self.producer_shard(name, shard).enqueue(fields, how, 0).await;
        };
        let route = order.as_deref().unwrap_or(key.key.as_bytes());
        let mut seen = Numbers::default();
        for _ in 0..MOVES_MAX {
            let numbers = Numbers::read(self, name, key.ttl_millis(), &seen).await?;
            let homes = homes(route, &numbers.all);
            for shard in &homes[1..] {
                let queue = self.producer_shard(name, *shard);
                let claimed = queue.claim_keys(numbers.changes, [key].into_iter()).await?;
                if let Some(entry) = claimed.into_iter().next().flatten() {
                    return Ok(Publication { entry, shard: *shard, known: true, trace_id: None });
                }
            }
            let changes = numbers.changes_after(&seen);
            match self.producer_shard(name, homes[0]).enqueue(fields.clone(), how, changes).await {
                Err(EnqueueError::Moved) => seen = numbers,
                enqueued => return enqueued,
            }
        }
        Err(EnqueueError::Moved)
    }
}

/// The numbers of shards that select where keys may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// How often the number has changed.
    pub(super) changes: u64,
    /// The present one first.
    pub(super) all: Vec<u32>,
}

impl Numbers {
    /// Reads them, as of a moment ago for the first time, for keys with this TTL. `seen` is what was read before.
    pub(super) async fn read(
        redis: &Redis,
        name: &QueueName,
        ttl_millis: u64,
        seen: &Self,
    ) -> Result<Numbers, Error> {
        let reply = match seen.all.is_empty() {
            true => redis.recent_key_homes(name, ttl_millis).await?,
            false => redis.key_homes(name, ttl_millis).await?,
        };
        let (changes, all) = reply.split_first().ok_or_else(unexpected)?;
        let all = all.iter().map(|number| u32::try_from(*number).unwrap_or(SHARDS_MAX)).collect();
        Ok(Numbers { changes: *changes, all })
    }

    /// Up to which change somebody else may have claimed a key that this producer enqueues. It claims its keys everywhere else
    /// before, and of two producers, the one that knows of fewer changes enqueues where the other has claimed the key,
    /// or where it finds the job. If the numbers are those by which the key was claimed by a later change, Redis has lost that change.
    pub(super) fn changes_after(&self, seen: &Self) -> u64 {
        if self == seen { u64::MAX } else { self.changes }
    }
}

impl QueueShard {
    /// The ids of the jobs that were enqueued under idempotency keys. `None` if there is none: then the key is claimed
    /// here.
    pub(super) async fn claim_keys<'a>(
        &self,
        changes: u64,
        claimed: impl Iterator<Item = &'a IdempotencyKey>,
    ) -> Result<Vec<Option<EntryId>>, Error> {
        let (mut keys, mut args) = (vec![], vec![number(changes)]);
        for key in claimed {
            keys.push(self.0.keys.idempotency(&key.key));
            args.push(number(key.ttl_millis()));
        }
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let reply = self.0.scripts.claim_keys.poll(&self.0.redis, keys, args).await?;
        let job_ids: Vec<String> = reply.convert()?;
        Ok(job_ids.iter().map(|job_id| EntryId::parse(job_id.as_bytes())).collect())
    }
}

/// The order key of a job that is not enqueued yet.
pub(super) fn order_key(fields: &Fields) -> Option<&Bytes> {
    fields.iter().find(|(name, _)| name == "order").map(|(_, key)| key)
}

/// The shard that a number of shards selects for a key.
fn home_of(key: &[u8], shards: u32) -> u32 {
    u32::from(crc16(key)) % shards.clamp(1, SHARDS_MAX)
}

/// The shards that these numbers of shards select for a key, each once.
pub(super) fn homes(key: &[u8], numbers: &[u32]) -> Vec<u32> {
    let mut homes = vec![];
    for number in numbers {
        let home = home_of(key, *number);
        if !homes.contains(&home) {
            homes.push(home);
        }
    }
    homes
}

/// CRC16 as Redis Cluster computes it (XMODEM), so that every producer finds the same shard for a key.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_redis_cluster() {
        // The Redis Cluster specification, appendix A.
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn a_key_has_one_home_for_each_number_of_shards() {
        assert_eq!(homes(b"123456789", &[4]), [3]);
        assert_eq!(homes(b"123456789", &[2, 4, 1]), [1, 3, 0]);
        assert_eq!(homes(b"123456789", &[2, 1, 2, 6]), [1, 0], "each once");
    }
}
