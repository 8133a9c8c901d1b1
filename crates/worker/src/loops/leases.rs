//! Keeps the leases of what is in hand alive, and gives the worker's sign of life.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_queue::job::Lease;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::shard::lane::Lane;

/// As many as one script call takes.
const MOST: usize = 1000;

/// Extends three times a lease, until stopped.
pub async fn run(lane: Arc<Lane>, stop: CancellationToken) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let leases = lane.hand.leases();
        let mut all = true;
        for chunk in leases.chunks(MOST) {
            all &= extend(&lane, chunk).await;
        }
        if leases.is_empty() {
            all = extend(&lane, &[]).await;
        }
        let third = lane.queue.consumer().lease / 3;
        // After a failure sooner: what is held must not run out for one lost call.
        pause = if all { third } else { third.min(Duration::from_secs(1)) };
    }
}

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
