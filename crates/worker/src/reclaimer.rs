//! The reclaimer: takes over the jobs of workers that give no sign of life any more.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::lane::Lane;
use crate::slots::Slots;

/// At most so many at once, so that one worker does not take all that a dead one held.
const MOST: usize = 100;

/// Looks four times a lease, until stopped.
pub async fn run(lane: Arc<Lane>, slots: Slots, stop: CancellationToken) {
    let lease = lane.queue.consumer().lease;
    // Idle time goes on while Redis is down: whoever comes back first would find everything idle. So nobody
    // takes anything over until it has been connected for a whole lease, in which the others have been too.
    let mut wait = lease;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        wait = lease / 4;
        if !lane.queue.link().up_for(lease) {
            continue;
        }
        let free = tokio::select! {
            free = slots.take(MOST) => free,
            () = stop.cancelled() => return,
        };
        let sent = Instant::now();
        match lane.queue.reclaim(free.len()).await {
            Ok(taken) => {
                lane.queue.link().up();
                if !taken.is_empty() {
                    info!(jobs = taken.len(), "took over jobs of a worker that gives no sign of life");
                }
                for (delivery, slot) in taken.into_iter().zip(free) {
                    lane.begin(delivery, sent, slot);
                }
            }
            Err(error) => wait = lane.queue.link().down(&error, 6),
        }
    }
}
