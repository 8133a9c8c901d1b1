//! Chooses the shard of a job.

use super::enqueue::{EnqueueError, Enqueuing, IdempotencyKey, Publication};
use crate::job::{EntryId, Fields};
use crate::redis::{Error, Keys, QueueName, QueueShard, Redis, SHARDS_MAX, number};

/// How often an enqueue follows a number of shards that changes.
pub(super) const MOVES_MAX: usize = 5;

impl Redis {
    /// Enqueues a job into any shard of a queue. An idempotency key always selects the same shard. After the
    /// number of shards has changed, the key also counts where former numbers selected its shard, for its whole
    /// life.
    ///
    /// # Errors
    /// [`EnqueueError`].
    pub async fn enqueue(
        &self,
        name: &QueueName,
        fields: Fields,
        how: &Enqueuing,
    ) -> Result<Publication, EnqueueError> {
        let Some(key) = &how.key else {
            return self.any_shard(name).await?.enqueue(fields, how, false).await;
        };
        let mut seen = vec![];
        for _ in 0..MOVES_MAX {
            let homes = self.key_homes(name, key).await?;
            for shard in &homes[1..] {
                let claimed = self.producer_shard(name, *shard).claim_keys([key].into_iter()).await?;
                if let Some(entry) = claimed.into_iter().next().flatten() {
                    return Ok(Publication { entry, shard: *shard, known: true, trace_id: None });
                }
            }
            // A key that has moved from here, and is nowhere else: its producer ended before it enqueued.
            let has_all = homes == seen;
            match self.producer_shard(name, homes[0]).enqueue(fields.clone(), how, has_all).await {
                Err(EnqueueError::Moved) => seen = homes,
                enqueued => return enqueued,
            }
        }
        Err(EnqueueError::Moved)
    }

    /// The shards in which a key may be, each once, beginning with its present one.
    async fn key_homes(&self, name: &QueueName, key: &IdempotencyKey) -> Result<Vec<u32>, Error> {
        Ok(homes(&key.key, &self.shard_numbers(name, key.ttl_millis()).await?))
    }

    /// The number of shards, and the former ones that keys with this TTL may have been enqueued by.
    pub(super) async fn shard_numbers(&self, name: &QueueName, ttl_millis: u64) -> Result<Vec<u32>, Error> {
        let producer = self.producer_shard(name, 0);
        let args = vec![number(ttl_millis)];
        let keys = vec![Keys::meta(name)];
        let reply = producer.0.scripts.key_homes.poll(&producer.0.redis, keys, args).await?;
        reply.convert()
    }
}

impl QueueShard {
    /// The ids of the jobs that were enqueued under idempotency keys. `None` if there is none: then the key is claimed
    /// here.
    pub(super) async fn claim_keys<'a>(
        &self,
        claimed: impl Iterator<Item = &'a IdempotencyKey>,
    ) -> Result<Vec<Option<EntryId>>, Error> {
        let (mut keys, mut args) = (vec![], vec![]);
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

/// The shards that these numbers of shards select for a key, each once.
pub(super) fn homes(key: &str, numbers: &[u32]) -> Vec<u32> {
    let hash = u32::from(crc16(key.as_bytes()));
    let mut homes = vec![];
    for number in numbers {
        let home = hash % (*number).clamp(1, SHARDS_MAX);
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
        assert_eq!(homes("123456789", &[4]), [3]);
        assert_eq!(homes("123456789", &[2, 4, 1]), [1, 3, 0]);
        assert_eq!(homes("123456789", &[2, 1, 2, 6]), [1, 0], "each once");
    }
}
