//! What a producer knows of queues: their shards, which are made once, since each has many keys, how many there are, and where an
//! idempotency key may be.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::keys::QueueName;
use super::queue_shard::QueueShard;

/// How long a number of shards counts. After a queue has got fewer shards, workers read the others until they are empty, and look
/// for late jobs there once a minute. A key that somebody has enqueued by later numbers is claimed where earlier ones select it.
const LIFETIME: Duration = Duration::from_millis(500);
/// How many queues are remembered.
const QUEUES_MAX: usize = 256;

/// All queues of a producer.
#[derive(Debug, Default)]
pub(super) struct Producers(Mutex<BTreeMap<QueueName, Known>>);

#[derive(Debug, Default)]
struct Known {
    shards: Vec<(u32, QueueShard)>,
    count: Option<(u32, Instant)>,
    homes: Option<(KeyHomes, Instant)>,
}

/// Where an idempotency key may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyHomes {
    /// Of the keys for which it was read.
    pub(crate) ttl_millis: u64,
    /// The reply of the script `key_homes`.
    pub(crate) reply: Vec<u64>,
}

impl Producers {
    /// A shard of a queue, which `make` makes if it is not known.
    pub(super) fn shard(
        &self,
        name: &QueueName,
        shard: u32,
        make: impl FnOnce() -> QueueShard,
    ) -> QueueShard {
        let mut all = self.lock();
        let known = entry(&mut all, name);
        if let Some((_, own)) = known.shards.iter().find(|(number, _)| *number == shard) {
            return own.clone();
        }
        let own = make();
        known.shards.push((shard, own.clone()));
        own
    }

    /// How many shards a queue has, if that was read a moment ago.
    pub(super) fn count(&self, name: &QueueName) -> Option<u32> {
        let (count, read) = self.lock().get(name)?.count?;
        (read.elapsed() < LIFETIME).then_some(count)
    }

    /// Where a key with this TTL may be, if that was read a moment ago.
    pub(super) fn key_homes(&self, name: &QueueName, ttl_millis: u64) -> Option<Vec<u64>> {
        let all = self.lock();
        let (homes, read) = all.get(name)?.homes.as_ref()?;
        // Those of keys that live longer are those of this one, too, and older ones.
        let is_known = read.elapsed() < LIFETIME && homes.ttl_millis >= ttl_millis;
        is_known.then(|| homes.reply.clone())
    }

    pub(super) fn set_key_homes(&self, name: &QueueName, homes: KeyHomes) {
        entry(&mut self.lock(), name).homes = Some((homes, Instant::now()));
    }

    /// Forgets how many shards a queue has.
    pub(super) fn forget_numbers(&self, name: &QueueName) {
        if let Some(known) = self.lock().get_mut(name) {
            (known.count, known.homes) = (None, None);
        }
    }

    pub(super) fn set_count(&self, name: &QueueName, count: u32) {
        entry(&mut self.lock(), name).count = Some((count, Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<QueueName, Known>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

fn entry<'a>(all: &'a mut BTreeMap<QueueName, Known>, name: &QueueName) -> &'a mut Known {
    if !all.contains_key(name) {
        if all.len() >= QUEUES_MAX {
            all.clear();
        }
        all.insert(name.clone(), Known::default());
    }
    all.get_mut(name).expect("it was inserted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_count_for_keys_that_live_no_longer() {
        let (producers, name) = (Producers::default(), "default".parse().unwrap());
        assert_eq!(producers.key_homes(&name, 1), None);
        producers.set_key_homes(&name, KeyHomes { ttl_millis: 1_000, reply: vec![0, 1] });
        let known = [1_000, 1_001].map(|ttl| producers.key_homes(&name, ttl));
        assert_eq!(known, [Some(vec![0, 1]), None]);
        producers.forget_numbers(&name);
        assert_eq!(producers.key_homes(&name, 1_000), None);
    }
}
