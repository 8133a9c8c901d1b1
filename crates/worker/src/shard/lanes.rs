//! The lanes of a worker. Lanes join while it runs, when a queue is given more shards; none leaves before the
//! end, since a producer that knows the old number may go on putting jobs into a shard.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::shard::lane::Lane;

/// A growing list of lanes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lanes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    list: Mutex<Vec<Arc<Lane>>>,
    joined: Notify,
}

impl Lanes {
    /// A lane joins.
    pub fn join(&self, lane: Arc<Lane>) {
        self.list().push(lane);
        self.0.joined.notify_one();
    }

    /// The lanes behind the first so many.
    pub fn from(&self, known: usize) -> Vec<Arc<Lane>> {
        self.list().get(known..).unwrap_or_default().to_vec()
    }

    /// Waits until there are more than so many. For one reader.
    pub async fn more_than(&self, known: usize) {
        while self.list().len() <= known {
            self.0.joined.notified().await;
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.0.list.lock().expect("nothing panics while it holds this lock")
    }
}
