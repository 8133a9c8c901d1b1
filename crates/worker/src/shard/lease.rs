//! Extends leases, before an attempt and by the loop that keeps them.

use std::time::Instant;

use postrider_queue::job::Lease;
use tracing::warn;

use super::lane::Lane;

/// Extends leases; gives up what was lost. Answers whether Redis did answer.
pub async fn extend(lane: &Lane, leases: &[Lease]) -> bool {
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
                warn!(jobs, %first, "lease lost: the jobs are another worker's, or gone, and their requests are cut");
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
