//! The completer: settles successful jobs, at once while it is idle and in groups under load.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::job::Lease;
use postrider_queue::names;
use postrider_queue::work::{Operation, Settled};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::delivery::trace::Settling;
use crate::shard::runtime::{Done, ShardRuntime};

/// How many jobs one script call settles at most.
const GROUP_JOBS_MAX: usize = 256;

/// The pause after a settlement, in which the next group gathers. A call costs Redis and both ends of the
/// connection as much for one job as for many, and successful jobs wait without a slot.
const GATHER_TIME: Duration = Duration::from_millis(1);

/// Settles jobs until the worker has ended all of them.
pub(crate) async fn run(shard: Arc<ShardRuntime>, mut done: mpsc::Receiver<Done>) {
    let mut group = Vec::with_capacity(GROUP_JOBS_MAX);
    let mut open = true;
    let mut earliest = Instant::now();
    loop {
        tokio::select! {
            biased;
            count = done.recv_many(&mut group, GROUP_JOBS_MAX) => {
                if count == 0 {
                    return;
                }
                if Instant::now() < earliest {
                    sleep_until(earliest).await;
                    while group.len() < GROUP_JOBS_MAX && let Ok(more) = done.try_recv() {
                        group.push(more);
                    }
                }
                settle(&shard, &mut group).await;
                earliest = Instant::now() + GATHER_TIME;
                group.clear();
            }
            () = shard.drained.cancelled(), if open => {
                done.close();
                open = false;
            }
        }
    }
}

async fn settle(shard: &ShardRuntime, group: &mut [Done]) {
    group.sort_unstable_by_key(|done| done.lease.entry);
    let mut leases: Vec<_> = group.iter().filter_map(|done| shard.in_flight.current(done.lease)).collect();
    let jobs: Vec<_> = group.iter().map(|done| (done.lease.entry, &done.context)).collect();
    let settling = Settling::begin(shard, Operation::Ack, &jobs, |_| ());
    for failed in 0.. {
        if leases.is_empty() {
            return settling.end(Some(&names::LEASE_LOST));
        }
        match shard.queue.complete(&leases, &settling.context()).await {
            Ok(settled) => {
                shard.queue.link().up();
                let settled: Vec<_> = settled.into_iter().map(|settled| settled.after(failed)).collect();
                delivered(shard, group, &leases, &settled);
                let all = shard.settled(leases.iter().copied().zip(settled));
                return settling.end((!all).then_some(&names::LEASE_LOST));
            }
            Err(error) => {
                let pause = shard.queue.link().down(&error, failed);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = shard.cut.cancelled() => {
                        return settling.end(Some(&fred_otel::error_type(&error)));
                    }
                }
                // Leases may be lost by now, and delivery counts may have changed.
                leases = leases.iter().filter_map(|lease| shard.in_flight.current(*lease)).collect();
            }
        }
    }
}

/// Records the time from enqueue to settlement. Both lists are in the order of the entries.
fn delivered(shard: &ShardRuntime, group: &[Done], leases: &[Lease], settled: &[Settled]) {
    if !shard.telemetry.is_on() {
        return;
    }
    let now = shard.queue.clock().now();
    for (lease, _) in leases.iter().zip(settled).filter(|(_, settled)| **settled == Settled::Done) {
        if let Ok(index) = group.binary_search_by_key(&lease.entry, |done| done.lease.entry) {
            shard.delivered(group[index].enqueued, now);
        }
    }
}
