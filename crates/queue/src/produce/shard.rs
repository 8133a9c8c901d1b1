//! Chooses the shard of a job.

use fred::clients::Client;
use fred::interfaces::KeysInterface;
use fred_otel::Command;

use super::enqueue::{EnqueueError, Enqueuing, Publication};
use crate::job::{EntryId, Fields};
use crate::redis::{Error, Queue, QueueName, Redis, Shards};

impl Redis {
    /// Enqueues a job into any shard of a queue. An idempotency key always selects the same shard. While the
    /// number of shards changes, that may be one of two shards.
    ///
    /// # Errors
    /// [`EnqueueError`].
    pub async fn enqueue(
        &self,
        name: &QueueName,
        fields: Fields,
        how: &Enqueuing,
    ) -> Result<Publication, EnqueueError> {
        let shards = self.shards(name).await?;
        let Some(key) = &how.key else {
            return self.producer(name, fastrand::u32(..shards.now)).enqueue(fields, how).await;
        };
        let [now, before] = homes(&key.key, shards);
        if before != now
            && let Some(entry) = self.producer(name, before).known(&key.key).await?
        {
            return Ok(Publication { entry, shard: before, known: true, trace_id: None });
        }
        self.producer(name, now).enqueue(fields, how).await
    }

    /// Enqueues many jobs together into any shard of a queue, as [`Queue::enqueue_all`] does.
    ///
    /// # Errors
    /// fred's.
    pub async fn enqueue_all(&self, name: &QueueName, jobs: Vec<Fields>) -> Result<Vec<EntryId>, Error> {
        let shards = self.shards(name).await?;
        self.producer(name, fastrand::u32(..shards.now)).enqueue_all(jobs).await
    }
}

impl Queue {
    /// The id of the job that was enqueued under an idempotency key.
    async fn known(&self, key: &str) -> Result<Option<EntryId>, Error> {
        let key = self.0.keys.idempotency(key);
        let get = |client: Client| async move { client.get::<Option<String>, _>(key).await };
        let found = self.0.redis.run(Command::new("GET"), get).await?;
        Ok(found.and_then(|job_id| EntryId::parse(job_id.as_bytes())))
    }
}

/// The shard of a key, and its shard before the number of shards changed.
fn homes(key: &str, shards: Shards) -> [u32; 2] {
    let hash = u32::from(crc16(key.as_bytes()));
    [hash % shards.now, hash % shards.read]
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
    fn a_key_has_two_homes_while_the_number_changes() {
        assert_eq!(homes("123456789", Shards { now: 4, read: 4 }), [3, 3]);
        assert_eq!(homes("123456789", Shards { now: 2, read: 4 }), [1, 3]);
    }
}
