//! The bytes of jobs in flight. Together with the slots, they limit how many jobs a worker fetches, so that
//! large jobs do not use up its memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postrider_queue::names;
use telemetry::{Observable, Telemetry};
use tokio::sync::Notify;

/// While a read is under way, each of its entries may need its bytes twice: in the reply, and copied out of it.
const READ_COPIES: usize = 2;

/// A number of bytes that all shards share. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ByteBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    /// What an entry of the largest size needs while it is read.
    read_max: usize,
    used: AtomicUsize,
    freed: Notify,
}

/// Bytes that are in use until this is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    budget: ByteBudget,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.sub(self.bytes);
    }
}

/// Without a limit.
impl Default for ByteBudget {
    fn default() -> Self {
        Self::new(usize::MAX, 1)
    }
}

impl ByteBudget {
    /// A budget of `max` bytes for jobs of up to `entry_max` bytes.
    pub(crate) fn new(max: usize, entry_max: usize) -> Self {
        let read_max = entry_max.saturating_mul(READ_COPIES);
        Self(Arc::new(Inner { max, read_max, used: AtomicUsize::new(0), freed: Notify::new() }))
    }

    /// Registers the metrics of the use and the limit of all budgets of a process.
    pub(crate) fn observe(budgets: &[Self], telemetry: &Telemetry) {
        let max = budgets.iter().map(|budget| budget.max()).sum::<usize>() as f64;
        let budgets = budgets.to_vec();
        let what = "Bytes of the jobs in flight, and those that are reserved for a read";
        let used = Observable::up_down_counter(names::IN_FLIGHT_USAGE, "By", what);
        telemetry.observe(used, move |to| {
            to.record(budgets.iter().map(Self::used).sum::<usize>() as f64, |_| ());
        });
        let what = "Limit of the bytes of jobs in flight";
        let limit = Observable::up_down_counter(names::IN_FLIGHT_LIMIT, "By", what);
        telemetry.observe(limit, move |to| to.record(max, |_| ()));
    }

    /// Its bytes.
    pub(crate) fn max(&self) -> usize {
        self.0.max
    }

    /// The bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// How many entries may be read, whatever their sizes. At least one if nothing is in flight.
    pub(crate) fn entries(&self) -> usize {
        let used = self.used();
        let fit = self.0.max.saturating_sub(used) / self.0.read_max;
        if used == 0 { fit.max(1) } else { fit }
    }

    /// Reserves room for this number of entries before they are read, when their sizes are not known.
    pub(crate) fn reserve(&self, entries: usize) -> Reserved {
        let bytes = entries * self.0.read_max;
        self.add(bytes);
        Reserved { budget: self.clone(), bytes }
    }

    /// Uses bytes. A blocking read may fetch what does not fit: one job for each shard. So this never fails.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Frees bytes.
    pub(crate) fn sub(&self, bytes: usize) {
        let used = self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        // Only then does anybody wait.
        if self.0.max.saturating_sub(used) < self.0.read_max {
            self.0.freed.notify_one();
        }
    }

    /// Waits until an entry may be read. Only one task may wait.
    pub(crate) async fn room(&self) {
        while self.entries() == 0 {
            self.0.freed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ENTRY_MAX: usize = 4 << 20;

    #[test]
    fn entries_count_as_the_largest_until_their_sizes_are_known() {
        let budget = ByteBudget::new(20 * ENTRY_MAX, ENTRY_MAX);
        let read = budget.reserve(10);
        assert_eq!((budget.entries(), budget.used()), (0, 20 * ENTRY_MAX));
        [ENTRY_MAX, 100, 100].into_iter().for_each(|bytes| budget.add(bytes));
        drop(read);
        assert_eq!(budget.entries(), 9, "one large job, and two small ones");
        [ENTRY_MAX, 100, 100].into_iter().for_each(|bytes| budget.sub(bytes));
        assert_eq!((budget.entries(), budget.used()), (10, 0));
    }

    #[test]
    fn one_entry_fits_into_every_budget_of_which_nothing_is_used() {
        let budget = ByteBudget::new(1, ENTRY_MAX);
        assert_eq!(budget.entries(), 1);
        budget.add(100);
        assert_eq!(budget.entries(), 0);
        budget.sub(100);
        assert_eq!(budget.entries(), 1);
        assert!(ByteBudget::default().entries() > 100_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_read_goes_on_when_enough_is_freed() {
        let budget = ByteBudget::new(2 * ENTRY_MAX, ENTRY_MAX);
        let waits = async || tokio::time::timeout(Duration::from_secs(1), budget.room()).await.is_err();
        assert!(!waits().await);
        budget.add(2 * ENTRY_MAX);
        assert!(waits().await);
        let (_, waited) = tokio::join!(
            async {
                (0..8).for_each(|_| budget.sub(ENTRY_MAX / 4));
            },
            waits()
        );
        assert!(!waited);
    }
}
