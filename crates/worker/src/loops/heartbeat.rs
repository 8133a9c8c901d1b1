//! Keeps the leases of what is in flight alive, and gives the worker's sign of life.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::shard::lease::extend;
use crate::shard::runtime::ShardRuntime;

/// As many as one script call takes.
const MOST: usize = 1000;

/// Extends three times a lease, until stopped.
pub(crate) async fn run(shard: Arc<ShardRuntime>, stop: CancellationToken) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let leases = shard.in_flight.leases();
        let mut all = true;
        for chunk in leases.chunks(MOST) {
            all &= extend(&shard, chunk).await;
        }
        if leases.is_empty() {
            all = extend(&shard, &[]).await;
        }
        let third = shard.queue.consumer().lease / 3;
        // After a failure sooner: what is held must not run out for one lost call.
        pause = if all { third } else { third.min(Duration::from_secs(1)) };
    }
}
