//! The sweeper: lets jobs go that wait for nothing that ends, since somebody has deleted or restored some of the keys.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::job::FlowId;
use postrider_queue::work::Swept;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::shard::runtime::ShardRuntime;

/// It happens by accidents alone.
const LOOK: Duration = Duration::from_secs(10);
/// While some are astray, so many looks a second leave Redis time for others.
const NEXT: Duration = Duration::from_millis(100);

/// Looks every 10 s, and more often while there is something to find; until stopped.
pub(crate) async fn run(shard: Arc<ShardRuntime>, stop: CancellationToken) {
    let mut wait = LOOK;
    let mut known = Vec::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        wait = LOOK;
        match look(&shard, &mut known).await {
            Ok(Swept { astray: 0, .. }) => {}
            Ok(Swept { found, .. }) => {
                wait = NEXT;
                if found > 0 {
                    const SEEN: &str =
                        "jobs waited for nothing that ends and go now: who writes to the queue's keys?";
                    warn!(jobs = found, "{SEEN}");
                    shard.alarm.due_in(Duration::ZERO);
                }
            }
            Err(error) => debug!(%error, "could not look for jobs that are astray"),
        }
    }
}

/// Looks with the flows of the look before, and once more where they were others.
async fn look(shard: &ShardRuntime, known: &mut Vec<FlowId>) -> Result<Swept, Error> {
    for _ in 0..2 {
        let mut swept = shard.queue.sweep(known).await?;
        swept.flows.sort_unstable();
        if swept.flows == *known {
            return Ok(swept);
        }
        *known = swept.flows;
    }
    Ok(Swept::default())
}
