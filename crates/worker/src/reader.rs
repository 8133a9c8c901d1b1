//! The reader: takes new jobs while slots are free, and heals itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::entry::Delivery;
use crate::lane::Lane;
use crate::queue::Error;
use crate::slots::{Slot, Slots};

/// As many as one read takes.
const MOST: usize = 256;

/// Reads until stopped.
pub async fn run(lane: Arc<Lane>, slots: Slots, stop: CancellationToken) {
    let mut failed = 0;
    loop {
        let free = tokio::select! {
            free = slots.take(MOST) => free,
            () = stop.cancelled() => return,
        };
        match read(&lane, free, &stop).await {
            Ok(()) => failed = 0,
            Err(error) => {
                tokio::select! {
                    () = heal(&lane, &error, failed) => {}
                    () = stop.cancelled() => return,
                }
                failed += 1;
            }
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

/// Reads for all free slots without waiting; only when nothing is there, waits for one job.
async fn read(lane: &Arc<Lane>, mut free: Vec<Slot>, stop: &CancellationToken) -> Result<(), Error> {
    let sent = Instant::now();
    let taken = lane.queue.read(free.len()).await?;
    lane.queue.link().up();
    if !taken.is_empty() {
        begin(lane, taken, sent, free);
        return Ok(());
    }
    free.truncate(1);
    let waited = async {
        let waited = lane.queue.wait().await;
        (waited, Instant::now())
    };
    tokio::pin!(waited);
    let (taken, arrived) = tokio::select! {
        waited = &mut waited => waited,
        () = stop.cancelled() => {
            // The read is ended, not dropped: a job that it brings at the last moment is not left behind.
            lane.queue.wake().await;
            match tokio::time::timeout(Duration::from_secs(1), waited).await {
                Ok(waited) => waited,
                Err(_) => return Ok(()),
            }
        }
    };
    match taken {
        // How a read that was woken ends.
        Err(_) if stop.is_cancelled() => Ok(()),
        taken => {
            begin(lane, taken?, arrived, free);
            Ok(())
        }
    }
}

fn begin(lane: &Arc<Lane>, taken: Vec<Delivery>, sent: Instant, free: Vec<Slot>) {
    for (delivery, slot) in taken.into_iter().zip(free) {
        lane.begin(delivery, sent, slot);
    }
}

/// The group is gone after a restart without persistence, a FLUSHALL, an XGROUP DESTROY: it is made anew.
/// Everything else passes.
async fn heal(lane: &Lane, error: &Error, failed: u32) {
    if error.details().starts_with("NOGROUP") {
        match lane.queue.join().await {
            Ok(()) => {
                warn!("the consumer group was gone and is made anew; what was in flight will be sent again");
                return;
            }
            Err(error) => tokio::time::sleep(lane.queue.link().down(&error, failed)).await,
        }
        return;
    }
    tokio::time::sleep(lane.queue.link().down(error, failed)).await;
}
