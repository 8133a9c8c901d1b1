//! The deliveries under way in one shard: a task for each, from its start to its settlement.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use postrider_queue::job::{Delivery, Job, Lease, flow_name};
use postrider_queue::names;
use postrider_queue::work::{Operation, Settled, Turn, WaitReason};
use telemetry::Attributes;

use super::deliver::{Completion, Dependencies, deliver};
use super::line::place_of;
use super::process_span::Settling;
use super::record;
use super::sendable::is_poison;
use super::settlement::Settlements;
use super::turn::{TurnAnswer, Turns};
use crate::shard::in_flight::InFlight;
use crate::shard::leases::Leases;
use crate::shard::slots::{Slot, Work};

/// The deliveries under way in one shard.
#[derive(Debug)]
pub(crate) struct Deliveries {
    /// The jobs in flight.
    pub leases: Arc<Leases>,
    /// What the work on one needs.
    pub dependencies: Dependencies,
    /// Settles them.
    pub settlements: Arc<Settlements>,
    /// Asks for the turns of ordered jobs.
    pub turns: Turns,
    /// The tasks.
    pub work: Work,
    /// Whether a task has panicked. If so, a job that returns to this worker may be the cause.
    pub panicked: AtomicBool,
}

impl Deliveries {
    /// Begins to work on a delivery, unless it is in flight already. `sent` is when the call that fetched it
    /// was sent. A blocking read may fetch a job while no slot is free: then `slot` is `None`.
    pub(crate) fn begin(self: &Arc<Self>, delivery: Delivery, sent: Instant, slot: Option<Slot>) {
        let delivery = Arc::new(delivery);
        if !self.leases.in_flight.take(&delivery, sent) {
            return;
        }
        let lease = delivery.lease;
        // Boxed, since spawning would copy its 3 KB several times.
        let work = Box::pin(self.clone().work(delivery, slot));
        let task = self.work.spawn(work);
        self.leases.in_flight.set_task(lease, task);
    }

    /// Whether the shard may take in more jobs.
    pub(crate) fn has_room(&self) -> bool {
        self.settlements.has_room()
    }

    /// Whether an ordered job has its turn. Otherwise it waits for that, is handed back, or its lease was lost.
    async fn has_turn(&self, delivery: &Arc<Delivery>, job: &Job) -> bool {
        let lease = delivery.lease;
        let Some(place) = place_of(delivery, Some(job)).filter(|_| !is_poison(delivery)) else { return true };
        match self.turns.ask(lease, place).await {
            TurnAnswer::Turn(Turn::Taken) => return true,
            TurnAnswer::Turn(Turn::Waits) => {
                self.dependencies.counts.held();
                self.record_wait(delivery, job);
            }
            TurnAnswer::Turn(Turn::Lost | Turn::Gone) => {
                self.leases.settled([(lease, Settled::Lost)]);
            }
            TurnAnswer::Unknown { in_doubt } => {
                let now = self.dependencies.queue.clock().now();
                let completion = Completion { transition: record::hand_back(delivery, now), process: None };
                self.settlements.settle(delivery, Some(job), completion, in_doubt).await;
            }
        }
        false
    }

    /// Records in the job's trace that it waits, if it has one. Redis has moved it already, so that it can keep no other.
    fn record_wait(&self, delivery: &Delivery, job: &Job) {
        if job.context.traceparent.is_some() || job.trail.traceparent.is_some() {
            let spans = &self.dependencies.spans;
            let describe = |attributes: &mut Attributes| {
                attributes.set(names::HOLD_REASON, WaitReason::Turn.as_str());
                attributes.set(names::FLOW_NAME, flow_name(job));
            };
            Settling::waiting(spans, Operation::Hold, delivery, Some(job), describe).0.end(None);
        }
    }

    /// Works on a delivery until it is settled, or waits for its settlement without a slot. Code that drops this future earlier must take care of the
    /// job.
    async fn work(self: Arc<Self>, delivery: Arc<Delivery>, mut slot: Option<Slot>) {
        let suspect = slot.as_mut().and_then(|slot| slot.suspect.take());
        let remove_on_drop = RemoveOnDrop {
            in_flight: &self.leases.in_flight,
            panicked: &self.panicked,
            lease: delivery.lease,
        };
        let work = telemetry::about(self.dependencies.queue.name(), delivery.clone(), async {
            let job = Job::decode(&delivery);
            // Boxed: only ordered jobs need it, and the task of each job would be larger by it.
            if let Ok(job) = &job
                && job.order.is_some()
                && !Box::pin(self.has_turn(&delivery, job)).await
            {
                return;
            }
            let mut is_due = false;
            loop {
                let completion = deliver(&delivery, &job, is_due, &self.dependencies).await;
                let settled = self.settlements.settle(&delivery, job.as_ref().ok(), completion, false).await;
                is_due = settled == Some(Settled::Due);
                if !is_due {
                    break;
                }
            }
        });
        let mut work = pin!(work);
        match suspect {
            None => work.await,
            Some(suspect) => {
                if Box::pin(tokio::time::timeout(suspect.alone(), &mut work)).await.is_err() {
                    suspect.outlives();
                    work.await;
                }
            }
        }
        drop(slot);
        std::mem::forget(remove_on_drop);
    }
}

/// Removes a job whose task panics or is dropped, so that the heartbeat does not keep its lease alive for
/// ever. The lease then expires, and a worker takes over the job.
struct RemoveOnDrop<'a> {
    in_flight: &'a InFlight,
    panicked: &'a AtomicBool,
    lease: Lease,
}

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.panicked.store(true, Ordering::Relaxed);
        }
        self.in_flight.remove(self.lease);
    }
}

#[cfg(test)]
mod tests {
    use postrider_queue::job::EntryId;

    use super::*;

    /// Adds a job in flight and ends its task by `end`. Returns whether the job is still in flight, and
    /// whether the panic was recorded.
    async fn after(end: impl AsyncFnOnce()) -> (bool, bool) {
        let (in_flight, panicked) = (InFlight::default(), AtomicBool::new(false));
        let lease = Lease { entry: EntryId { millis: 1, sequence: 0 }, delivery: 1, epoch: 0 };
        in_flight.take(&Arc::new(Delivery::new(lease, vec![])), Instant::now());
        let work = async {
            let _remove_on_drop = RemoveOnDrop { in_flight: &in_flight, panicked: &panicked, lease };
            end().await;
        };
        // As in a task: a panic ends only the task.
        let _ = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(work)).await;
        (in_flight.current(lease).is_some(), panicked.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_task_that_panics_keeps_no_lease_alive_and_is_recorded() {
        assert_eq!(after(async || panic!("a bug")).await, (false, true));
    }

    #[tokio::test]
    async fn a_task_that_is_cut_keeps_no_lease_alive_and_is_not_a_panic() {
        let cut = tokio::time::timeout(std::time::Duration::ZERO, std::future::pending::<()>());
        assert_eq!(after(async || drop(cut.await)).await, (false, false));
    }
}
