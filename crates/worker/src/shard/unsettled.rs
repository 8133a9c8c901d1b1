//! Jobs whose settlement Redis has not taken. They wait here without a slot, and each kind of settlement is
//! repeated apart.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use postrider_queue::work::Operation;
use telemetry::BoundUpDownCounter;
use tokio::sync::Notify;
use tokio::time::Instant;

/// With more jobs than this waiting, the shard takes in no more.
const JOBS_MAX: usize = 16;
/// With more bytes than this in waiting jobs, the shard takes in no more.
const BYTES_MAX: usize = 16 << 20;
/// The part of the worker's bytes in flight that these bytes are at most.
const BYTES_PART: usize = 4;
/// With more successful jobs than this on their way to the completer, the shard takes in no more.
const SUCCEEDED_JOBS_MAX: usize = 1024;

/// The jobs of one shard that wait for their settlement. `S` is such a settlement.
#[derive(Debug)]
pub(crate) struct Unsettled<S> {
    kinds: Mutex<Vec<SettlementKind<S>>>,
    added: Notify,
    jobs: AtomicUsize,
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Whether the completer repeats its call. Then all jobs on their way to it count too.
    completer_repeats: AtomicBool,
    /// The metric that counts the jobs.
    unsettled: BoundUpDownCounter,
}

/// One kind of settlement: Redis may refuse it and take the others.
#[derive(Debug)]
struct SettlementKind<S> {
    operation: Operation,
    waiting: VecDeque<UnsettledJob<S>>,
    /// Failures in a row.
    failed: u32,
    next: Instant,
}

/// A settlement that waits.
#[derive(Debug)]
pub(crate) struct UnsettledJob<S> {
    /// The settlement.
    pub settlement: S,
    operation: Operation,
    bytes: usize,
}

impl<S> Unsettled<S> {
    /// Nothing waits. The metric counts what will. `bytes_in_flight` is the worker's limit.
    pub(crate) fn new(unsettled: BoundUpDownCounter, bytes_in_flight: usize) -> Self {
        Self {
            kinds: Mutex::default(),
            added: Notify::new(),
            jobs: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            bytes_max: BYTES_MAX.min(bytes_in_flight / BYTES_PART),
            completer_repeats: AtomicBool::new(false),
            unsettled,
        }
    }

    /// Whether the shard may take in more jobs, with this number of successful jobs on their way to the
    /// completer.
    pub(crate) fn has_room(&self, succeeded: usize) -> bool {
        let waiting = self.jobs.load(Ordering::Relaxed);
        let succeeded_max = if self.completer_repeats.load(Ordering::Relaxed) {
            JOBS_MAX.saturating_sub(waiting)
        } else {
            SUCCEEDED_JOBS_MAX
        };
        waiting <= JOBS_MAX
            && succeeded <= succeeded_max
            && self.bytes.load(Ordering::Relaxed) <= self.bytes_max
    }

    /// Adds a settlement of a job of this size that has failed once. `pause` is the time until the next try if
    /// no other of its kind waits.
    pub(crate) fn add(&self, settlement: S, operation: Operation, bytes: usize, pause: Duration) {
        self.jobs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.unsettled.add(1);
        let mut kinds = self.kinds();
        let kind = kind(&mut kinds, operation);
        if kind.waiting.is_empty() {
            (kind.failed, kind.next) = (1, Instant::now() + pause);
        }
        kind.waiting.push_back(UnsettledJob { settlement, operation, bytes });
        drop(kinds);
        self.added.notify_one();
    }

    /// Waits for the next settlement that is due. Only one task may wait.
    pub(crate) async fn due(&self) -> UnsettledJob<S> {
        loop {
            let next = match self.take_due() {
                Ok(waiting) => return waiting,
                Err(next) => next,
            };
            match next {
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = self.added.notified() => {}
                },
                None => self.added.notified().await,
            }
        }
    }

    /// A settlement that is due, or when the next one is.
    fn take_due(&self) -> Result<UnsettledJob<S>, Option<Instant>> {
        let mut kinds = self.kinds();
        let waiting = kinds.iter_mut().filter(|kind| !kind.waiting.is_empty());
        let Some(kind) = waiting.min_by_key(|kind| kind.next) else { return Err(None) };
        if kind.next > Instant::now() {
            return Err(Some(kind.next));
        }
        kind.waiting.pop_front().ok_or(None)
    }

    /// It has failed again: it waits behind the others of its kind. `pause` is the time until the next of them
    /// is tried, by the number of failures in a row.
    pub(crate) fn again(&self, waiting: UnsettledJob<S>, pause: impl FnOnce(u32) -> Duration) {
        let mut kinds = self.kinds();
        let kind = kind(&mut kinds, waiting.operation);
        kind.next = Instant::now() + pause(kind.failed);
        kind.failed += 1;
        kind.waiting.push_back(waiting);
    }

    /// It is settled, so the others of its kind are tried at once. Returns whether it was the last of all.
    pub(crate) fn settled(&self, waiting: &UnsettledJob<S>) -> bool {
        let mut kinds = self.kinds();
        let kind = kind(&mut kinds, waiting.operation);
        (kind.failed, kind.next) = (0, Instant::now());
        drop(kinds);
        self.unsettled.add(-1);
        self.bytes.fetch_sub(waiting.bytes, Ordering::Relaxed);
        self.jobs.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.load(Ordering::Relaxed) == 0
    }

    /// The completer repeats its call for this number of jobs, or goes on.
    pub(crate) fn completer_repeats(&self, repeats: bool, jobs: usize) {
        if self.completer_repeats.load(Ordering::Relaxed) != repeats {
            self.completer_repeats.store(repeats, Ordering::Relaxed);
            let jobs = jobs as i64;
            self.unsettled.add(if repeats { jobs } else { -jobs });
        }
    }

    fn kinds(&self) -> MutexGuard<'_, Vec<SettlementKind<S>>> {
        self.kinds.lock().expect("nothing panics while it holds this lock")
    }
}

/// The settlements of one kind.
fn kind<S>(kinds: &mut Vec<SettlementKind<S>>, operation: Operation) -> &mut SettlementKind<S> {
    let index = kinds.iter().position(|kind| kind.operation == operation).unwrap_or_else(|| {
        let next = Instant::now();
        kinds.push(SettlementKind { operation, waiting: VecDeque::new(), failed: 0, next });
        kinds.len() - 1
    });
    &mut kinds[index]
}

#[cfg(test)]
mod tests {
    use telemetry::Telemetry;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn unsettled() -> Unsettled<&'static str> {
        let nobody = Telemetry::disabled().up_down_counter("postrider.job.unsettled", "{job}", "");
        Unsettled::new(nobody.bind(|_| ()), usize::MAX)
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_is_repeated_apart() {
        let (unsettled, start) = (unsettled(), Instant::now());
        unsettled.add("dead 1", Operation::DeadLetter, 1, SECOND);
        unsettled.add("dead 2", Operation::DeadLetter, 1, SECOND);
        unsettled.add("retry", Operation::Retry, 1, 3 * SECOND);
        let first = unsettled.due().await;
        assert_eq!((first.settlement, start.elapsed()), ("dead 1", SECOND));
        // It fails again, and waits behind the other.
        unsettled.again(first, |failed| 4 * failed * SECOND);
        let retry = unsettled.due().await;
        assert_eq!((retry.settlement, start.elapsed()), ("retry", 3 * SECOND));
        assert!(!unsettled.settled(&retry));
        let second = unsettled.due().await;
        assert_eq!((second.settlement, start.elapsed()), ("dead 2", 5 * SECOND));
        assert!(!unsettled.settled(&second));
        // One success is enough to try the rest at once.
        let first = unsettled.due().await;
        assert_eq!((first.settlement, start.elapsed()), ("dead 1", 5 * SECOND));
        assert!(unsettled.settled(&first) && unsettled.is_empty());
    }

    #[test]
    fn a_shard_takes_in_no_more_than_it_can_settle() {
        let room = |jobs: usize, bytes: usize, succeeded: usize, repeats: bool| {
            let unsettled = unsettled();
            (0..jobs).for_each(|_| unsettled.add("job", Operation::Retry, bytes, SECOND));
            unsettled.completer_repeats(repeats, 1);
            unsettled.has_room(succeeded)
        };
        assert!(room(JOBS_MAX, 10, SUCCEEDED_JOBS_MAX, false));
        assert!(!room(JOBS_MAX + 1, 10, 0, false), "jobs");
        assert!(!room(5, BYTES_MAX / 4, 0, false), "bytes");
        assert!(!room(0, 0, SUCCEEDED_JOBS_MAX + 1, false), "the completer has too many");
        assert!(room(0, 0, JOBS_MAX, true) && !room(0, 0, JOBS_MAX + 1, true), "the completer fails");
    }
}
