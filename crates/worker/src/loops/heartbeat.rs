//! The heartbeat: renews the leases of jobs in flight, and records that the worker is alive.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::shard::lease::extend;
use crate::shard::runtime::ShardRuntime;

/// How many leases one script call renews at most.
const LEASES_MAX: usize = 1000;

/// Renews all leases three times within a lease, until stopped.
pub(crate) async fn run(shard: Arc<ShardRuntime>, stop: CancellationToken) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let leases = shard.in_flight.leases();
        let mut all = true;
        for chunk in leases.chunks(LEASES_MAX) {
            all &= extend(&shard, chunk).await;
        }
        if leases.is_empty() {
            all = extend(&shard, &[]).await;
        }
        let third = shard.queue.consumer().lease / 3;
        // Sooner after a failure: one lost call must not let the leases expire.
        pause = if all { third } else { third.min(Duration::from_secs(1)) };
    }
}
