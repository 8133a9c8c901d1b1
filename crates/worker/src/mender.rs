//! The mender: lets jobs go that wait for nothing that ends, since somebody has deleted or restored some of the keys.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::lane::Lane;
use crate::queue::Mended;

/// It happens by accidents alone.
const LOOK: Duration = Duration::from_secs(10);
/// While some are astray, so many looks a second leave Redis time for others.
const NEXT: Duration = Duration::from_millis(100);

/// Looks every 10 s, and more often while there is something to find; until stopped.
pub async fn run(lane: Arc<Lane>, stop: CancellationToken) {
    let mut wait = LOOK;
    let mut known = Vec::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        wait = LOOK;
        match lane.queue.mend(&known).await {
            Ok(Mended { astray, found, mut flows }) => {
                flows.sort_unstable();
                if found > 0 {
                    warn!(
                        jobs = found,
                        "jobs waited for nothing that ends and go now: who writes to the queue's keys?"
                    );
                    lane.alarm.due_in(Duration::ZERO);
                }
                if astray > 0 || flows != known {
                    wait = NEXT;
                }
                known = flows;
            }
            Err(error) => debug!(%error, "could not look for jobs that are astray"),
        }
    }
}
