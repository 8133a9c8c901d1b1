//! The leases of the jobs in flight: renewed, lost, settled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_queue::job::Lease;
use postrider_queue::work::{QueueShard, Settled};
use tracing::warn;

use super::byte_budget::ByteBudget;
use super::in_flight::InFlight;
use crate::observe::counters::Counts;

/// The jobs in flight of one shard, with what happens to their leases.
#[derive(Debug)]
pub(crate) struct Leases {
    /// The jobs.
    pub in_flight: InFlight,
    counts: Arc<Counts>,
}

impl Leases {
    pub(crate) fn new(counts: Arc<Counts>, bytes: ByteBudget) -> Self {
        Self { in_flight: InFlight::new(counts.in_flight(), bytes), counts }
    }

    /// Extends leases and gives up jobs whose lease is lost. Returns whether Redis replied.
    pub(crate) async fn extend(&self, queue: &QueueShard, leases: &[Lease]) -> bool {
        let sent = Instant::now();
        match queue.extend(leases).await {
            Ok(kept) => {
                queue.link().up();
                self.extended(leases, &kept, sent);
                true
            }
            Err(error) => {
                let pause = queue.link().down(&error, 0);
                tokio::time::sleep(pause).await;
                false
            }
        }
    }

    /// Redis has replied to a call that was sent at `sent`. Logs once for all leases that are lost.
    fn extended(&self, leases: &[Lease], kept: &[bool], sent: Instant) {
        let mut lost = vec![];
        for (lease, kept) in leases.iter().zip(kept) {
            if *kept {
                self.in_flight.confirm(*lease, sent);
            } else if self.in_flight.lose(*lease) {
                self.counts.lease_lost();
                lost.push(lease.entry);
            }
        }
        if let Some(first) = lost.first() {
            let jobs = lost.len();
            warn!(jobs, %first, "lease lost: another worker has the jobs, or they are gone; their requests are aborted");
        }
    }

    /// Confirms a lease before its request is sent, unless it was confirmed less than half a lease ago.
    /// Returns whether it is confirmed: not if Redis does not answer. If the lease is lost, the task is
    /// aborted here.
    pub(crate) async fn confirm(&self, queue: &QueueShard, lease: Lease) -> bool {
        let half = queue.consumer().lease / 2;
        while !self.in_flight.is_fresh(lease, half) {
            let Some(current) = self.in_flight.current(lease) else {
                // Lost: `InFlight::lose` has aborted this task, which ends at this await.
                return std::future::pending().await;
            };
            // Boxed: it is rare, and the task of each job would be larger by it.
            if !Box::pin(self.extend(queue, &[current])).await {
                return false;
            }
        }
        true
    }

    /// Removes jobs after Redis has replied to their settlements. Logs once for all settlements that were too
    /// late. Returns whether there were none.
    pub(crate) fn settled(&self, answers: impl IntoIterator<Item = (Lease, Settled)>) -> bool {
        let (mut all, mut refused) = (true, vec![]);
        for (lease, settled) in answers {
            let was_held = self.in_flight.remove(lease);
            if matches!(settled, Settled::Lost | Settled::Gone) {
                all = false;
                // A job that is not in flight any more was reported when its lease was lost.
                if was_held {
                    self.counts.settlement_refused();
                    refused.push(lease.entry);
                }
            }
        }
        if let Some(first) = refused.first() {
            let jobs = refused.len();
            warn!(jobs, %first, "settlement refused: the lease was lost; another worker has the jobs, or they are gone");
        }
        all
    }

    /// Counts a job that is delivered and settled. Both times are Unix milliseconds.
    pub(crate) fn delivered(&self, enqueued: u64, now: u64) {
        self.counts.delivered(Duration::from_millis(now.saturating_sub(enqueued)));
    }
}

#[cfg(test)]
mod tests {
    use postrider_queue::job::{Delivery, EntryId};
    use telemetry::Telemetry;

    use super::*;

    fn leases(jobs: u64) -> (Leases, Vec<Lease>) {
        let leases =
            Leases::new(Arc::new(Counts::new(&Telemetry::disabled(), "default")), ByteBudget::default());
        let lease = |sequence| Lease { entry: EntryId { millis: 1, sequence }, delivery: 1, epoch: 0 };
        let all: Vec<Lease> = (0..jobs).map(lease).collect();
        for lease in &all {
            leases.in_flight.take(&Arc::new(Delivery::new(*lease, vec![])), Instant::now());
        }
        (leases, all)
    }

    #[test]
    fn a_lease_that_redis_does_not_renew_is_given_up() {
        let (leases, all) = leases(3);
        leases.extended(&all, &[true, false, true], Instant::now());
        assert_eq!(leases.in_flight.leases(), [all[0], all[2]]);
        assert!(leases.in_flight.is_fresh(all[0], Duration::from_secs(60)));
    }

    #[test]
    fn a_job_leaves_with_the_reply_to_its_settlement() {
        let (leases, all) = leases(3);
        let waits = Settled::Waits(Duration::from_secs(1));
        assert!(leases.settled([(all[0], Settled::Done), (all[1], waits)]));
        assert_eq!(leases.in_flight.leases(), [all[2]]);
        assert!(!leases.settled([(all[2], Settled::Lost)]), "another worker has it");
        assert!(leases.in_flight.leases().is_empty());
    }
}
