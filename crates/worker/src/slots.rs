//! Slots: how many jobs are worked on at once, and the tasks that do it.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

/// The right to work on one job, given back when dropped.
pub type Slot = OwnedSemaphorePermit;

/// A bounded number of slots, shared by all queues. Who asks first is served first.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Semaphore>);

impl Slots {
    /// So many.
    pub fn new(slots: usize) -> Self {
        Self(Arc::new(Semaphore::new(slots)))
    }

    /// Waits for a slot, and takes all others that are free then, up to `most`. At least one.
    pub async fn take(&self, most: usize) -> Vec<Slot> {
        let first = self.0.clone().acquire_owned().await.expect("the semaphore is never closed");
        let mut slots = vec![first];
        while slots.len() < most
            && let Ok(slot) = self.0.clone().try_acquire_owned()
        {
            slots.push(slot);
        }
        slots
    }
}

/// The tasks that work on jobs: owned, counted, and waited for.
#[derive(Clone, Debug, Default)]
pub struct Work(TaskTracker);

impl Work {
    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.spawn(task).abort_handle()
    }

    /// Waits until all are done.
    pub async fn finished(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
