//! The completer: settles successful jobs, at once while it is idle and in groups under load.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::job::{Lease, LinePlace};
use postrider_queue::names;
use postrider_queue::work::{Operation, QueueShard, Settled, is_answer};
use telemetry::ErrorType;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::delivery::process_span::{JobSpans, Settling};
use crate::delivery::settlement::{Settlement, Succeeded};
use crate::shard::leases::Leases;
use crate::shard::unsettled::Unsettled;

/// How many jobs one script call settles at most.
const GROUP_JOBS_MAX: usize = 256;

/// The pause after a settlement, in which the next group gathers. A call costs Redis and both ends of the
/// connection as much for one job as for many, and successful jobs wait without a slot.
const GATHER_TIME: Duration = Duration::from_millis(1);

/// How long settled jobs may be uncounted. A count costs Redis a quarter of the settlement of one job.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// Settled jobs that are not counted yet: a killed worker never counts them.
#[derive(Debug)]
struct Uncounted {
    jobs: u64,
    /// When a settlement counts again.
    due: Instant,
}

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
    let mut uncounted = Uncounted { jobs: 0, due: earliest };
    let mut quiet = pin!(sleep_until(earliest));
    loop {
        tokio::select! {
            biased;
            count = completer.succeeded.recv_many(&mut group, GROUP_JOBS_MAX) => {
                if count == 0 {
                    return completer.count(&mut uncounted).await;
                }
                if Instant::now() < earliest {
                    sleep_until(earliest).await;
                    while group.len() < GROUP_JOBS_MAX && let Ok(more) = completer.succeeded.try_recv() {
                        group.push(more);
                    }
                }
                let had_none = uncounted.jobs == 0;
                completer.settle(&mut group, &mut uncounted).await;
                if had_none && uncounted.jobs > 0 {
                    quiet.as_mut().reset(uncounted.due);
                }
                earliest = Instant::now() + GATHER_TIME;
                group.clear();
            }
            () = &mut quiet, if uncounted.jobs > 0 => {
                completer.count(&mut uncounted).await;
                quiet.as_mut().reset(uncounted.due);
            }
            () = &mut drained, if open => {
                completer.succeeded.close();
                open = false;
            }
        }
    }
}

impl Completer {
    async fn settle(&self, group: &mut [Succeeded], uncounted: &mut Uncounted) {
        group.sort_unstable_by_key(|job| job.lease.entry);
        let mut leases: Vec<_> =
            group.iter().filter_map(|job| self.current(job.lease, job.place.as_ref())).collect();
        let jobs: Vec<_> = group.iter().map(|job| (job.lease.entry, &job.context)).collect();
        let settling = Settling::begin(&self.spans, Operation::Ack, &jobs, |_| ());
        let error = self.complete(group, &mut leases, uncounted, &settling).await;
        self.unsettled.completer_repeats(false, group.len());
        settling.end(error.as_ref());
    }

    /// Calls until Redis replies. No slot waits for that. Returns
    /// the error of the span.
    async fn complete(
        &self,
        group: &[Succeeded],
        leases: &mut Vec<Lease>,
        uncounted: &mut Uncounted,
        settling: &Settling,
    ) -> Option<ErrorType> {
        let is_any_ordered = group.iter().any(|job| job.place.is_some());
        if is_any_ordered {
            // Another script settles these.
            leases.sort_by_key(|lease| place(group, *lease).is_some());
        }
        let place_of = is_any_ordered.then_some(|lease| place(group, lease));
        let mut in_doubt = false;
        // The same in all calls: a call that was made and whose reply was lost has counted.
        let count = uncounted.take();
        for failed in 0.. {
            if leases.is_empty() {
                return Some(names::LEASE_LOST);
            }
            let log = |lease| record(group, lease);
            match self.queue.complete(leases, log, place_of, count, &settling.context()).await {
                Ok(settled) => {
                    self.queue.link().up();
                    let settled: Vec<_> =
                        settled.into_iter().map(|settled| settled.after(in_doubt)).collect();
                    uncounted.settled(count, &settled);
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
                    leases.retain_mut(|lease| {
                        let current = self.current(*lease, place(group, *lease));
                        *lease = current.unwrap_or(*lease);
                        current.is_some()
                    });
                }
            }
        }
        None
    }

    /// The lease under which a success is settled. It is final, so a lost one will do, but not for a job in a line.
    fn current(&self, lease: Lease, place: Option<&LinePlace>) -> Option<Lease> {
        let in_flight = &self.leases.in_flight;
        if place.is_some() { in_flight.current(lease) } else { in_flight.of_success(lease) }
    }

    /// Counts what no settlement has counted. What Redis does not count now, it counts later.
    async fn count(&self, uncounted: &mut Uncounted) {
        if uncounted.jobs == 0 {
            return;
        }
        let jobs = std::mem::take(&mut uncounted.jobs);
        uncounted.due = Instant::now() + COUNT_INTERVAL;
        tokio::select! {
            counted = self.queue.count(jobs) => if let Err(error) = counted {
                debug!(%error, queue = self.queue.name(), jobs, "cannot count jobs now");
                uncounted.jobs = jobs;
            },
            () = self.cut.cancelled() => {}
        }
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

impl Uncounted {
    /// How many jobs the next settlement counts besides its own; `None` if it counts none.
    fn take(&mut self) -> Option<u64> {
        let now = Instant::now();
        (now >= self.due).then(|| {
            self.due = now + COUNT_INTERVAL;
            std::mem::take(&mut self.jobs)
        })
    }

    /// Learns what a settlement with this count has settled. One that has settled nothing has counted nothing.
    fn settled(&mut self, count: Option<u64>, settled: &[Settled]) {
        let done = settled.iter().filter(|settled| **settled == Settled::Done).count() as u64;
        match count {
            None => self.jobs += done,
            Some(earlier) if done == 0 => self.jobs += earlier,
            Some(_) => {}
        }
    }
}

/// The place of a job in its line. The group is in the order of the entries.
fn place(group: &[Succeeded], lease: Lease) -> Option<&LinePlace> {
    let index = group.binary_search_by_key(&lease.entry, |job| job.lease.entry).ok()?;
    group[index].place.as_ref()
}

/// The record of a job for the delivery log. The group is in the order of the entries.
fn record(group: &[Succeeded], lease: Lease) -> Option<&str> {
    let index = group.binary_search_by_key(&lease.entry, |job| job.lease.entry).ok()?;
    group[index].log.as_deref()
}
