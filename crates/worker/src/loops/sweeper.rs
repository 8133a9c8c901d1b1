//! The orphan sweeper: requeues waiting jobs that nothing points to, since somebody deleted or restored some
//! keys.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::job::FlowId;
use postrider_queue::work::{Queue, Swept};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::shard::alarm::Alarm;

/// Long, since only accidents orphan jobs.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// The time between two sweeps while there are orphans. It leaves Redis time for other calls.
const ORPHANS_INTERVAL: Duration = Duration::from_millis(100);

/// Sweeps every 10 s, and more often while there are orphans, until stopped.
pub(crate) async fn run(queue: Queue, alarm: Arc<Alarm>, stop: CancellationToken) {
    let mut wait = SWEEP_INTERVAL;
    let mut known = Vec::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        wait = SWEEP_INTERVAL;
        match sweep(&queue, &mut known).await {
            Ok(Swept { astray: 0, .. }) => {}
            Ok(Swept { found, .. }) => {
                wait = ORPHANS_INTERVAL;
                if found > 0 {
                    warn!(jobs = found, "requeued orphaned jobs; were keys of this queue deleted by hand?");
                    alarm.due_in(Duration::ZERO);
                }
            }
            Err(error) => debug!(%error, "could not look for orphaned jobs"),
        }
    }
}

/// Sweeps with the flows of the previous sweep, and once more if the flows have changed.
async fn sweep(queue: &Queue, known: &mut Vec<FlowId>) -> Result<Swept, Error> {
    for _ in 0..2 {
        let mut swept = queue.sweep(known).await?;
        swept.flows.sort_unstable();
        if swept.flows == *known {
            return Ok(swept);
        }
        *known = swept.flows;
    }
    Ok(Swept::default())
}
