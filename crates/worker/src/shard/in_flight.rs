//! The jobs in flight in a worker: every job from its delivery to its settlement.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use postrider_queue::job::{Delivery, EntryId, Lease};
use telemetry::{BoundUpDownCounter, Telemetry};
use tokio::task::AbortHandle;

/// The jobs in flight, by their entries.
#[derive(Debug)]
pub struct InFlight {
    held: Mutex<HashMap<EntryId, FetchedJob>>,
    /// The metric that counts them.
    in_flight: BoundUpDownCounter,
}

#[derive(Debug)]
struct FetchedJob {
    delivery: Arc<Delivery>,
    /// May be of a later delivery than the one that was taken.
    lease: Lease,
    /// When the call that last confirmed the lease was sent.
    confirmed: Instant,
    task: Option<AbortHandle>,
}

/// Empty, without a metric.
impl Default for InFlight {
    fn default() -> Self {
        let nobody = Telemetry::disabled().up_down_counter("postrider.job.in_flight", "{job}", "");
        Self::new(nobody.bind(|_| ()))
    }
}

impl InFlight {
    /// Empty, with the metric that counts the jobs.
    pub fn new(in_flight: BoundUpDownCounter) -> Self {
        Self { held: Mutex::default(), in_flight }
    }

    /// Adds a delivery. Returns whether to begin with it: a job that is already in flight does not begin
    /// twice, unless the consumer group was created again; then the old delivery is given up.
    pub fn take(&self, delivery: &Arc<Delivery>, sent: Instant) -> bool {
        let lease = delivery.lease;
        let mut held = self.lock();
        if let Some(known) = held.get_mut(&lease.entry) {
            // It may be another job: a producer chose the same entry id after the stream was emptied.
            let same = known.delivery.fields == delivery.fields;
            if same && known.lease.epoch == lease.epoch {
                (known.lease, known.confirmed) = (lease, sent);
                return false;
            }
            abort(&known.task);
        }
        let job = FetchedJob { delivery: delivery.clone(), lease, confirmed: sent, task: None };
        if held.insert(lease.entry, job).is_none() {
            self.in_flight.add(1);
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

    /// The current lease of a job; `None` if it was lost or the job is not in flight any more.
    pub fn current(&self, lease: Lease) -> Option<Lease> {
        self.lock().get(&lease.entry).map(|held| held.lease).filter(|held| held.epoch == lease.epoch)
    }

    /// Removes a job that is settled, or not ours any more. Returns whether it was in flight.
    pub fn remove(&self, lease: Lease) -> bool {
        let mut held = self.lock();
        let same = held.get(&lease.entry).is_some_and(|held| held.lease.epoch == lease.epoch);
        let removed = same && held.remove(&lease.entry).is_some();
        if removed {
            self.in_flight.add(-1);
        }
        removed
    }

    /// Gives up a job whose lease is lost, and aborts its task. Returns whether it was in flight.
    pub fn lose(&self, lease: Lease) -> bool {
        let mut held = self.lock();
        let same = held.get(&lease.entry).is_some_and(|held| held.lease == lease);
        if same && let Some(lost) = held.remove(&lease.entry) {
            self.in_flight.add(-1);
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
        self.in_flight.add(-(cut.len() as i64));
        cut.into_iter()
            .map(|held| {
                abort(&held.task);
                (held.lease, held.delivery)
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
            let told = if lost_first {
                [in_flight.lose(job.lease), in_flight.remove(job.lease)]
            } else {
                [in_flight.remove(job.lease), in_flight.lose(job.lease)]
            };
            assert_eq!(told, [true, false]);
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
