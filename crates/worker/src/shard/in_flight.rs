//! The jobs in flight in a worker: every job from its delivery to its settlement.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use foldhash::HashMap;
use postrider_queue::job::{Delivery, EntryId, Lease};
use telemetry::{BoundUpDownCounter, Telemetry};
use tokio::task::AbortHandle;

use super::byte_budget::ByteBudget;
use super::known_delivery::{KnownDelivery, fingerprint};

/// The jobs in flight, by their entries.
#[derive(Debug)]
pub struct InFlight {
    held: Mutex<HashMap<EntryId, FetchedJob>>,
    /// The metric that counts them.
    in_flight: BoundUpDownCounter,
    bytes: ByteBudget,
}

#[derive(Debug)]
struct FetchedJob {
    known: KnownDelivery,
    /// May be of a later delivery than the one that was taken.
    lease: Lease,
    /// When the call that last confirmed the lease was sent.
    confirmed: Instant,
    task: Option<AbortHandle>,
    /// What it uses of the bytes in flight.
    bytes: usize,
}

/// Empty, without a metric and without a limit.
impl Default for InFlight {
    fn default() -> Self {
        let nobody = Telemetry::disabled().up_down_counter("postrider.job.in_flight", "{job}", "");
        Self::new(nobody.bind(|_| ()), ByteBudget::default())
    }
}

impl InFlight {
    /// Empty, with the metric that counts the jobs, and the budget of their bytes.
    pub(crate) fn new(in_flight: BoundUpDownCounter, bytes: ByteBudget) -> Self {
        Self { held: Mutex::default(), in_flight, bytes }
    }

    /// Adds a delivery. Returns whether to begin with it: a job that is already in flight does not begin
    /// twice, unless the consumer group was created again; then the old delivery is given up.
    pub fn take(&self, delivery: &Arc<Delivery>, sent: Instant) -> bool {
        let lease = delivery.lease;
        let mut held = self.lock();
        if let Some(job) = held.get_mut(&lease.entry) {
            // It may be another job: a producer chose the same entry id after the stream was emptied.
            if job.known.is_of(delivery) && job.lease.epoch == lease.epoch {
                (job.lease, job.confirmed) = (lease, sent);
                return false;
            }
            abort(&job.task);
        }
        let bytes = delivery.bytes_here();
        self.bytes.add(bytes);
        let job = FetchedJob {
            known: KnownDelivery::Whole(delivery.clone()),
            lease,
            confirmed: sent,
            task: None,
            bytes,
        };
        match held.insert(lease.entry, job) {
            None => self.in_flight.add(1),
            Some(old) => self.bytes.sub(old.bytes),
        }
        true
    }

    /// Records the task that works on a job.
    pub fn set_task(&self, lease: Lease, task: AbortHandle) {
        if let Some(held) = self.lock().get_mut(&lease.entry).filter(|held| held.lease.epoch == lease.epoch) {
            held.task = Some(task);
        }
    }

    /// The work is done and only the settlement is left, so [`InFlight::cut`] leaves the job out.
    pub fn work_ended(&self, lease: Lease) {
        if let Some(held) = self.lock().get_mut(&lease.entry).filter(|held| held.lease.epoch == lease.epoch) {
            held.task = None;
        }
    }

    /// Frees the bytes of jobs whose settlement Redis does not take: other shards need them.
    pub(crate) fn shed(&self) {
        for job in self.lock().values_mut().filter(|job| job.task.is_none()) {
            if let KnownDelivery::Whole(delivery) = &job.known {
                job.known = KnownDelivery::Fingerprint(fingerprint(delivery));
                self.bytes.sub(std::mem::take(&mut job.bytes));
            }
        }
    }

    /// The current lease of a job; `None` if it was lost or the job is not in flight any more.
    pub fn current(&self, lease: Lease) -> Option<Lease> {
        self.lock().get(&lease.entry).map(|held| held.lease).filter(|held| held.epoch == lease.epoch)
    }

    /// The lease under which a success is settled, which is final: also one that was lost; `None` if another delivery of the
    /// entry is in flight, since that may be another job.
    pub(crate) fn of_success(&self, lease: Lease) -> Option<Lease> {
        let current = self.lock().get(&lease.entry).map_or(lease, |held| held.lease);
        (current.epoch == lease.epoch).then_some(current)
    }

    /// Removes a job that is settled, or not ours any more. Returns whether it was in flight.
    pub fn remove(&self, lease: Lease) -> bool {
        let mut held = self.lock();
        let same = held.get(&lease.entry).is_some_and(|held| held.lease.epoch == lease.epoch);
        let removed = if same { held.remove(&lease.entry) } else { None };
        if let Some(job) = &removed {
            self.left(job);
        }
        removed.is_some()
    }

    fn left(&self, job: &FetchedJob) {
        self.in_flight.add(-1);
        self.bytes.sub(job.bytes);
    }

    /// Gives up a job whose lease is lost, and aborts its task. Returns whether it was in flight.
    pub fn lose(&self, lease: Lease) -> bool {
        let mut held = self.lock();
        let same = held.get(&lease.entry).is_some_and(|held| held.lease == lease);
        if same && let Some(lost) = held.remove(&lease.entry) {
            self.left(&lost);
            abort(&lost.task);
        }
        same
    }

    /// All leases, in ascending order of their entries.
    pub fn leases(&self) -> Vec<Lease> {
        let mut leases: Vec<Lease> = self.lock().values().map(|held| held.lease).collect();
        leases.sort_unstable_by_key(|lease| lease.entry);
        leases
    }

    /// A call that was sent at `sent` has confirmed a lease.
    pub fn confirm(&self, lease: Lease, sent: Instant) {
        if let Some(held) = self.lock().get_mut(&lease.entry).filter(|held| held.lease == lease) {
            held.confirmed = held.confirmed.max(sent);
        }
    }

    /// Whether a lease was confirmed within this time.
    pub fn is_fresh(&self, lease: Lease, within: Duration) -> bool {
        self.lock().get(&lease.entry).is_some_and(|held| held.confirmed.elapsed() < within)
    }

    /// Aborts all tasks and returns their jobs, to be handed back.
    pub fn cut(&self) -> Vec<(Lease, Arc<Delivery>)> {
        let cut: Vec<FetchedJob> =
            self.lock().extract_if(|_, held| held.task.is_some()).map(|(_, held)| held).collect();
        cut.into_iter()
            .filter_map(|held| {
                self.left(&held);
                abort(&held.task);
                match held.known {
                    KnownDelivery::Whole(delivery) => Some((held.lease, delivery)),
                    // Never: its task had ended.
                    KnownDelivery::Fingerprint(_) => None,
                }
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EntryId, FetchedJob>> {
        self.held.lock().expect("nothing panics while it holds this lock")
    }
}

fn abort(task: &Option<AbortHandle>) {
    if let Some(task) = task {
        task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(count: u64, epoch: u32) -> Arc<Delivery> {
        let entry = EntryId { millis: 1, sequence: 0 };
        Arc::new(Delivery::new(Lease { entry, delivery: count, epoch }, vec![]))
    }

    #[test]
    fn a_job_in_flight_does_not_begin_twice() {
        let in_flight = InFlight::default();
        let (first, again) = (delivery(1, 0), delivery(2, 0));
        assert!(in_flight.take(&first, Instant::now()));
        assert!(!in_flight.take(&again, Instant::now()));
        assert_eq!(in_flight.current(first.lease), Some(again.lease), "the lease takes the new count");
    }

    #[test]
    fn bytes_are_in_use_until_a_job_leaves() {
        let bytes = ByteBudget::new(1 << 30, 1);
        let nobody = Telemetry::disabled().up_down_counter("postrider.job.in_flight", "{job}", "");
        let in_flight = InFlight::new(nobody.bind(|_| ()), bytes.clone());
        let with_body = |sequence, body: usize| {
            let entry = EntryId { millis: 1, sequence };
            let fields = vec![("body".into(), vec![b'x'; body].into())];
            Arc::new(Delivery::new(Lease { entry, delivery: 1, epoch: 0 }, fields))
        };
        let jobs = [with_body(0, 96), with_body(1, 196), with_body(2, 296)];
        jobs.iter().for_each(|job| assert!(in_flight.take(job, Instant::now())));
        assert_eq!(bytes.used(), 600);
        in_flight.take(&with_body(0, 46), Instant::now());
        assert_eq!(bytes.used(), 550, "another job took the entry's place");
        in_flight.remove(jobs[0].lease);
        assert_eq!(bytes.used(), 500);
        in_flight.lose(jobs[1].lease);
        assert_eq!(bytes.used(), 300);
        in_flight.shed();
        assert_eq!(bytes.used(), 0, "nobody works on the third any more");
        assert!(!in_flight.take(&jobs[2], Instant::now()), "it is still in flight");
        assert!(in_flight.take(&with_body(2, 297), Instant::now()), "it is another job");
        in_flight.remove(jobs[2].lease);
        assert_eq!((bytes.used(), in_flight.leases()), (0, vec![]));
    }

    #[test]
    fn another_job_under_the_same_id_begins() {
        let in_flight = InFlight::default();
        let old = delivery(1, 0);
        let mut new = Delivery::clone(&old);
        new.fields.push(("url".into(), "http://h/".into()));
        assert!(in_flight.take(&old, Instant::now()));
        assert!(in_flight.take(&Arc::new(new), Instant::now()));
    }

    #[test]
    fn a_new_epoch_gives_up_the_old_delivery() {
        let in_flight = InFlight::default();
        let (old, new) = (delivery(1, 0), delivery(1, 1));
        assert!(in_flight.take(&old, Instant::now()));
        assert!(in_flight.take(&new, Instant::now()));
        assert_eq!(in_flight.current(old.lease), None);
        assert!(!in_flight.remove(old.lease), "the old task cannot remove the new delivery");
        assert!(in_flight.remove(new.lease));
    }

    #[test]
    fn a_job_that_was_lost_while_it_was_settled_is_not_removed_again() {
        for lost_first in [true, false] {
            let in_flight = InFlight::default();
            let job = delivery(1, 0);
            assert!(in_flight.take(&job, Instant::now()));
            in_flight.work_ended(job.lease);
            // The first reply of Redis reports the loss, and the other finds nothing to report.
            let reports = if lost_first {
                [in_flight.lose(job.lease), in_flight.remove(job.lease)]
            } else {
                [in_flight.remove(job.lease), in_flight.lose(job.lease)]
            };
            assert_eq!(reports, [true, false]);
        }
    }

    #[test]
    fn a_lease_is_fresh_after_it_was_confirmed() {
        let in_flight = InFlight::default();
        let taken = delivery(1, 0);
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(5)) else { return };
        in_flight.take(&taken, long_ago);
        assert!(!in_flight.is_fresh(taken.lease, Duration::from_secs(1)));
        in_flight.confirm(taken.lease, Instant::now());
        assert!(in_flight.is_fresh(taken.lease, Duration::from_secs(1)));
    }
}
