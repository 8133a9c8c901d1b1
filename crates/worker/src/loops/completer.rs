//! The completer: settles successful jobs, at once while it is idle and in groups under load.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::job::Lease;
use postrider_queue::names;
use postrider_queue::work::{Operation, QueueShard, Settled, is_answer};
use telemetry::ErrorType;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::delivery::process_span::{JobSpans, Settling};
use crate::delivery::settlement::{Settlement, Succeeded};
use crate::shard::leases::Leases;
use crate::shard::unsettled::Unsettled;

/// How many jobs one script call settles at most.
const GROUP_JOBS_MAX: usize = 256;

/// The pause after a settlement, in which the next group gathers. A call costs Redis and both ends of the
/// connection as much for one job as for many, and successful jobs wait without a slot.
const GATHER_TIME: Duration = Duration::from_millis(1);

/// The completer of one shard.
#[derive(Debug)]
pub(crate) struct Completer {
    /// The shard.
    pub queue: QueueShard,
    /// The jobs in flight.
    pub leases: Arc<Leases>,
    /// Makes the spans of settlements.
    pub spans: JobSpans,
    /// Successful jobs.
    pub succeeded: mpsc::Receiver<Succeeded>,
    /// Learns that the completer repeats a call.
    pub unsettled: Arc<Unsettled<Settlement>>,
    /// Cancelled when no further job will end.
    pub drained: CancellationToken,
    /// Cancelled when the worker's time to shut down is over.
    pub cut: CancellationToken,
}

/// Settles jobs until the worker has ended all of them.
pub(crate) async fn run(mut completer: Completer) {
    let mut group = Vec::with_capacity(GROUP_JOBS_MAX);
    let mut open = true;
    let drained = completer.drained.clone();
    // Lasts as long as the loop: registering it again would cost each group more than polling it.
    let mut drained = pin!(drained.cancelled());
    let mut earliest = Instant::now();
    loop {
        tokio::select! {
            biased;
            count = completer.succeeded.recv_many(&mut group, GROUP_JOBS_MAX) => {
                if count == 0 {
                    return;
                }
                if Instant::now() < earliest {
                    sleep_until(earliest).await;
                    while group.len() < GROUP_JOBS_MAX && let Ok(more) = completer.succeeded.try_recv() {
                        group.push(more);
                    }
                }
                completer.settle(&mut group).await;
                earliest = Instant::now() + GATHER_TIME;
                group.clear();
            }
            () = &mut drained, if open => {
                completer.succeeded.close();
                open = false;
            }
        }
    }
}

impl Completer {
    async fn settle(&self, group: &mut [Succeeded]) {
        group.sort_unstable_by_key(|job| job.lease.entry);
        let mut leases: Vec<_> =
            group.iter().filter_map(|job| self.leases.in_flight.current(job.lease)).collect();
        let jobs: Vec<_> = group.iter().map(|job| (job.lease.entry, &job.context)).collect();
        let settling = Settling::begin(&self.spans, Operation::Ack, &jobs, |_| ());
        let error = self.complete(group, &mut leases, &settling).await;
        self.unsettled.completer_repeats(false, group.len());
        settling.end(error.as_ref());
    }

    /// Calls until Redis replies. No slot waits for that, and a missing group is created by the call. Returns
    /// the error of the span.
    async fn complete(
        &self,
        group: &[Succeeded],
        leases: &mut Vec<Lease>,
        settling: &Settling,
    ) -> Option<ErrorType> {
        let mut in_doubt = false;
        for failed in 0.. {
            if leases.is_empty() {
                return Some(names::LEASE_LOST);
            }
            match self.queue.complete(leases, |lease| record(group, lease), &settling.context()).await {
                Ok(settled) => {
                    self.queue.link().up();
                    let settled: Vec<_> =
                        settled.into_iter().map(|settled| settled.after(in_doubt)).collect();
                    self.delivered(group, leases, &settled);
                    let all = self.leases.settled(leases.iter().copied().zip(settled));
                    return (!all).then_some(names::LEASE_LOST);
                }
                Err(error) => {
                    in_doubt |= !is_answer(&error);
                    self.unsettled.completer_repeats(true, group.len());
                    self.leases.in_flight.shed();
                    let pause = self.queue.link().down(&error, failed);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.cut.cancelled() => return Some(fred_otel::error_type(&error)),
                    }
                    // Leases may be lost by now, and delivery counts may have changed.
                    leases.retain_mut(|lease| match self.leases.in_flight.current(*lease) {
                        Some(current) => {
                            *lease = current;
                            true
                        }
                        None => false,
                    });
                }
            }
        }
        None
    }

    /// Records the time from enqueue to settlement. Both lists are in the order of the entries.
    fn delivered(&self, group: &[Succeeded], leases: &[Lease], settled: &[Settled]) {
        if !self.spans.telemetry.is_on() {
            return;
        }
        let now = self.queue.clock().now();
        for (lease, _) in leases.iter().zip(settled).filter(|(_, settled)| **settled == Settled::Done) {
            if let Ok(index) = group.binary_search_by_key(&lease.entry, |job| job.lease.entry) {
                self.leases.delivered(group[index].enqueued, now);
            }
        }
    }
}

/// The record of a job for the delivery log. The group is in the order of the entries.
fn record(group: &[Succeeded], lease: Lease) -> Option<&str> {
    let index = group.binary_search_by_key(&lease.entry, |job| job.lease.entry).ok()?;
    group[index].log.as_deref()
}
