//! Slots, which limit the jobs that are worked on at once, and the tasks that work on them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

/// How long the first suspect is the only one that a worker works on, and each at least.
const ALONE_MAX: Duration = Duration::from_secs(4);
const ALONE_MIN: Duration = Duration::from_millis(125);

/// The right to work on one job, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
    /// The right to work on a suspect, if this slot has it.
    pub suspect: Option<Suspect>,
}

/// The right to work on a suspect: a job that may have killed its workers. There is only one such right.
#[derive(Debug)]
pub(crate) struct Suspect {
    _permit: OwnedSemaphorePermit,
    done: Arc<Notify>,
    outlived: Arc<AtomicU32>,
}

impl Suspect {
    /// How long it is the only one. The time halves with each suspect that outlived its own, so that all are tried within
    /// seconds, also where their destinations hang.
    pub(crate) fn alone(&self) -> Duration {
        let outlived = self.outlived.load(Ordering::Relaxed);
        (ALONE_MAX / 2u32.saturating_pow(outlived)).max(ALONE_MIN)
    }

    /// It has not killed this worker so far: the next one must not wait for its destination.
    pub(crate) fn outlives(self) {
        self.outlived.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Suspect {
    fn drop(&mut self) {
        self.done.notify_one();
    }
}

/// A limited number of slots, shared by all shards: first come, first served.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    slots: Arc<Semaphore>,
    /// Slots in addition, in place of those whose attempts do not answer.
    lent: Arc<AtomicUsize>,
    all: usize,
    suspect: Arc<Semaphore>,
    suspect_done: Arc<Notify>,
}

impl Slots {
    /// Creates this number of slots.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            lent: Arc::default(),
            all: slots,
            suspect: Arc::new(Semaphore::new(1)),
            suspect_done: Arc::default(),
        }
    }

    /// How many there are.
    pub(crate) fn all(&self) -> usize {
        self.all
    }

    /// Waits for a slot, then takes all other free ones, up to `most` in total. Returns at least one.
    pub(crate) async fn take(&self, most: usize) -> Vec<Slot> {
        let slot = |permit| Slot { _permit: permit, suspect: None };
        let first = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        let mut slots = vec![slot(first)];
        while slots.len() < most
            && let Ok(permit) = self.slots.clone().try_acquire_owned()
        {
            slots.push(slot(permit));
        }
        slots
    }

    /// Sets the number of slots in addition. Slots in use are not taken back: a later call does that.
    pub(crate) fn lend(&self, number: usize) {
        let lent = self.lent.load(Ordering::Relaxed);
        let now = match lent.checked_sub(number) {
            None => {
                self.slots.add_permits(number - lent);
                number
            }
            Some(0) => return,
            Some(fewer) => lent - self.slots.forget_permits(fewer),
        };
        self.lent.store(now, Ordering::Relaxed);
    }

    /// Up to `most` free slots, at most a quarter of all.
    pub(crate) fn try_take_some(&self, most: usize) -> Vec<Slot> {
        std::iter::from_fn(|| self.try_take()).take(most.min(self.all / 4)).collect()
    }

    /// A slot, if one is free.
    pub(crate) fn try_take(&self) -> Option<Slot> {
        let permit = self.slots.clone().try_acquire_owned().ok()?;
        Some(Slot { _permit: permit, suspect: None })
    }

    /// The right to work on a suspect, if it is free. `outlived` counts the suspects before it that outlived their time
    /// alone.
    pub(crate) fn suspect(&self, outlived: &Arc<AtomicU32>) -> Option<Suspect> {
        let permit = self.suspect.clone().try_acquire_owned().ok()?;
        Some(Suspect { _permit: permit, done: self.suspect_done.clone(), outlived: outlived.clone() })
    }

    /// Waits until the work on a suspect is done.
    pub(crate) async fn suspect_done(&self) {
        self.suspect_done.notified().await;
    }
}

/// The tasks that work on jobs: owned, counted, and waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work(TaskTracker);

impl Work {
    /// Starts a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.spawn(task).abort_handle()
    }

    /// Waits until all are done.
    pub(crate) async fn finished(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_that_hang_are_all_tried_within_seconds() {
        let (slots, outlived) = (Slots::new(1), Arc::default());
        let alone: Vec<Duration> = (0..20)
            .map(|_| {
                let suspect = slots.suspect(&outlived).expect("the last one has given it back");
                assert!(slots.suspect(&outlived).is_none());
                let alone = suspect.alone();
                suspect.outlives();
                alone
            })
            .collect();
        assert_eq!((alone[0], alone[1], alone[19]), (ALONE_MAX, ALONE_MAX / 2, ALONE_MIN));
        assert!(alone.iter().sum::<Duration>() < Duration::from_secs(10), "{alone:?}");
        outlived.store(0, Ordering::Relaxed);
        assert_eq!(slots.suspect(&outlived).map(|suspect| suspect.alone()), Some(ALONE_MAX));
    }

    #[tokio::test]
    async fn lent_slots_are_taken_back_when_they_are_free() {
        let slots = Slots::new(2);
        let mut taken = slots.take(9).await;
        assert_eq!(taken.len(), 2);
        slots.lend(3);
        taken.extend(slots.take(9).await);
        assert_eq!(taken.len(), 5);
        slots.lend(1);
        assert!(slots.try_take().is_none());
        taken.clear();
        slots.lend(1);
        assert_eq!(slots.take(9).await.len(), 3);
        slots.lend(0);
        assert_eq!(slots.take(9).await.len(), 2);
    }
}
