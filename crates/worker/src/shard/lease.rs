//! Extends leases, before an attempt and in the heartbeat.

use std::time::Instant;

use postrider_queue::job::Lease;
use tracing::warn;

use super::runtime::ShardRuntime;

/// Extends leases and gives up jobs whose lease is lost. Returns whether Redis replied.
pub(crate) async fn extend(shard: &ShardRuntime, leases: &[Lease]) -> bool {
    let sent = Instant::now();
    match shard.queue.extend(leases).await {
        Ok(kept) => {
            shard.queue.link().up();
            let mut lost = vec![];
            for (lease, kept) in leases.iter().zip(kept) {
                if kept {
                    shard.in_flight.confirm(*lease, sent);
                } else if shard.in_flight.lose(*lease) {
                    shard.counts.lease_lost();
                    lost.push(lease.entry);
                }
            }
            if let Some(first) = lost.first() {
                let jobs = lost.len();
                warn!(jobs, %first, "lease lost: another worker has the jobs, or they are gone; their requests are aborted");
            }
            true
        }
        Err(error) => {
            let pause = shard.queue.link().down(&error, 0);
            tokio::time::sleep(pause).await;
            false
        }
    }
}
