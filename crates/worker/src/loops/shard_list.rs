//! The shards of a worker. Shards join while it runs, when a queue gets more of them. None leaves before the
//! end, since a producer that knows the old number of shards may continue to enqueue jobs into any of them.

use std::sync::{Arc, Mutex, MutexGuard};

use postrider_queue::work::QueueShard;
use tokio::sync::Notify;

use crate::delivery::deliveries::Deliveries;

/// One shard that this worker serves, for loops that serve all of them.
#[derive(Debug)]
pub(crate) struct ServedShard {
    /// One shard of a queue.
    pub queue: QueueShard,
    /// How often jobs are fetched from it, relative to other shards.
    pub weight: u32,
    /// The place of its queue in the configuration, and its number: shards join in any order.
    pub rank: (usize, u32),
    /// Begins to work on what is fetched.
    pub deliveries: Arc<Deliveries>,
}

/// A growing list of shards. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardList(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    list: Mutex<Vec<Arc<ServedShard>>>,
    joined: Notify,
}

impl ShardList {
    /// Adds a shard.
    pub(crate) fn join(&self, shard: Arc<ServedShard>) {
        self.list().push(shard);
        self.0.joined.notify_one();
    }

    /// The shards after the first `known` ones.
    pub(crate) fn from(&self, known: usize) -> Vec<Arc<ServedShard>> {
        self.list().get(known..).unwrap_or_default().to_vec()
    }

    /// Waits until there are more than `known` shards. Only one task may wait.
    pub(crate) async fn more_than(&self, known: usize) {
        while self.list().len() <= known {
            self.0.joined.notified().await;
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<ServedShard>>> {
        self.0.list.lock().expect("nothing panics while it holds this lock")
    }
}
