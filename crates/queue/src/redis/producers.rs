//! What a producer knows of queues: their shards, which are made once, since each has many keys, and how many there are.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::keys::QueueName;
use super::queue_shard::QueueShard;

/// How long a number of shards counts for jobs that may go into any shard. After a queue has got fewer shards, workers read
/// the others until they are empty, and look for late jobs there once a minute.
const COUNT_LIFETIME: Duration = Duration::from_millis(500);
/// How many queues are remembered.
const QUEUES_MAX: usize = 256;

/// All queues of a producer.
#[derive(Debug, Default)]
pub(super) struct Producers(Mutex<BTreeMap<QueueName, Known>>);

#[derive(Debug, Default)]
struct Known {
    shards: Vec<(u32, QueueShard)>,
    count: Option<(u32, Instant)>,
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
        (read.elapsed() < COUNT_LIFETIME).then_some(count)
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
