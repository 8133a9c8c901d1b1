//! The heartbeat: renews the leases of jobs in flight, and records that the worker is alive.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::work::QueueShard;
use tokio_util::sync::CancellationToken;

use crate::shard::leases::Leases;

/// How many leases one script call renews at most.
const LEASES_MAX: usize = 1000;

/// Renews all leases three times within a lease, until stopped.
pub(crate) async fn run(queue: QueueShard, leases: Arc<Leases>, stop: CancellationToken) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let held = leases.in_flight.leases();
        let mut all = true;
        for chunk in held.chunks(LEASES_MAX) {
            all &= leases.extend(&queue, chunk).await;
        }
        if held.is_empty() {
            all = leases.extend(&queue, &[]).await;
        }
        let third = queue.consumer().lease / 3;
        // Sooner after a failure: one lost call must not let the leases expire.
        pause = if all { third } else { third.min(Duration::from_secs(1)) };
    }
}
