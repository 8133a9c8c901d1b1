//! The open connections of a server. Their number is bounded, and one that waits for its client keeps no other waiting.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// The connections that are open.
pub(super) struct Connections {
    most: usize,
    tasks: JoinSet<()>,
    taken: Vec<(AbortHandle, ConnectionPlace)>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Counts the waits for a client.
    waits: AtomicU64,
    answered: Notify,
}

/// The place of one connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConnectionPlace {
    /// The number of its current wait for its client; [`BUSY`] while its request is answered.
    wait: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

const BUSY: u64 = u64::MAX;

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self { most, tasks: JoinSet::new(), taken: Vec::new(), shared: Arc::default() }
    }

    /// Whether a further connection can have a place.
    pub(super) fn has_room(&self) -> bool {
        self.taken.len() < self.most || self.longest_waiting().is_some()
    }

    /// Runs a further connection, in the place of another if all are taken.
    pub(super) fn fill<F>(&mut self, connection: impl FnOnce(ConnectionPlace) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.taken.len() >= self.most {
            self.make_room();
        }
        let place = ConnectionPlace { wait: Arc::default(), shared: Arc::clone(&self.shared) };
        place.wait();
        let task = self.tasks.spawn(connection(place.clone()));
        self.taken.push((task, place));
    }

    /// Closes the connection that has waited longest for its client, if one does.
    pub(super) fn make_room(&mut self) {
        if let Some(index) = self.longest_waiting() {
            self.taken.swap_remove(index).0.abort();
        }
    }

    /// Waits until there may be more room.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                self.taken.retain(|(task, _)| task.id() != id);
            }
            () = self.shared.answered.notified() => {}
        }
    }

    fn longest_waiting(&self) -> Option<usize> {
        let waits = self.taken.iter().map(|(_, place)| place.wait.load(Ordering::Relaxed)).enumerate();
        let (index, wait) = waits.min_by_key(|(_, wait)| *wait)?;
        (wait != BUSY).then_some(index)
    }
}

impl ConnectionPlace {
    /// Answers a request. Until then the connection does not wait for its client.
    pub(super) async fn busy<T>(&self, answer: impl Future<Output = T>) -> T {
        self.wait.store(BUSY, Ordering::Relaxed);
        let answer = answer.await;
        self.wait();
        self.shared.answered.notify_one();
        answer
    }

    fn wait(&self) {
        self.wait.store(self.shared.waits.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}
