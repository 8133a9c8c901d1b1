//! The completer: takes out jobs that are done, at once while it is idle and in groups under load.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::job::Lease;
use postrider_queue::names;
use postrider_queue::work::{Operation, Settled};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::delivery::trace::Settling;
use crate::shard::runtime::{Done, ShardRuntime};

/// As many as one script call takes.
const MOST: usize = 256;

/// How long after a settlement the next one begins at the earliest. A call costs Redis and both ends of the connection as
/// much for one job as for many; and jobs that are done wait without their slots.
const GATHER: Duration = Duration::from_millis(1);

/// Settles until no further job will be done.
pub(crate) async fn run(shard: Arc<ShardRuntime>, mut done: mpsc::Receiver<Done>) {
    let mut group = Vec::with_capacity(MOST);
    let mut open = true;
    let mut earliest = Instant::now();
    loop {
        tokio::select! {
            biased;
            count = done.recv_many(&mut group, MOST) => {
                if count == 0 {
                    return;
                }
                if Instant::now() < earliest {
                    sleep_until(earliest).await;
                    while group.len() < MOST && let Ok(more) = done.try_recv() {
                        group.push(more);
                    }
                }
                settle(&shard, &mut group).await;
                earliest = Instant::now() + GATHER;
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
                // Leases may have been lost, and their delivery counts changed, in the meantime.
                leases = leases.iter().filter_map(|lease| shard.in_flight.current(*lease)).collect();
            }
        }
    }
}

/// Measures from end to end. Both lists are in the order of the entries.
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
