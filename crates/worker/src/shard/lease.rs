//! Extends leases, before an attempt and in the heartbeat.

use std::time::Instant;

use postrider_queue::job::Lease;
use tracing::warn;

use super::lane::Lane;

/// Extends leases and gives up jobs whose lease is lost. Returns whether Redis replied.
pub(crate) async fn extend(lane: &Lane, leases: &[Lease]) -> bool {
    let sent = Instant::now();
    match lane.queue.extend(leases).await {
        Ok(kept) => {
            lane.queue.link().up();
            let mut lost = vec![];
            for (lease, kept) in leases.iter().zip(kept) {
                if kept {
                    lane.hand.confirm(*lease, sent);
                } else if lane.hand.lose(*lease) {
                    lane.counts.lease_lost();
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
            let pause = lane.queue.link().down(&error, 0);
            tokio::time::sleep(pause).await;
            false
        }
    }
}
