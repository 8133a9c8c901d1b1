//! The scheduler: moves due jobs back to the stream, and held jobs whose flow admits them.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::job::FlowId;
use tokio_util::sync::CancellationToken;

use crate::delivery::flow_wake;
use crate::shard::runtime::ShardRuntime;

/// How many jobs one script call moves at most: it blocks Redis.
const PROMOTE_JOBS_MAX: usize = 100;
/// With more jobs than this in the stream, one batch is moved each [`CROWDED_PAUSE`].
const CROWDED_JOBS_MIN: u64 = 1000;
const CROWDED_PAUSE: Duration = Duration::from_millis(100);
/// The longest time between two polls: another worker may have scheduled a job and died before it was due.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Promotes until stopped.
pub(crate) async fn run(shard: Arc<ShardRuntime>, stop: CancellationToken) {
    let mut failed = 0;
    loop {
        tokio::select! {
            () = shard.alarm.ring() => {}
            wanted = shard.held.wanted() => {
                wake(&shard, &wanted).await;
                continue;
            }
            () = stop.cancelled() => return,
        }
        // Set before the call, so that a job scheduled during the call wakes the scheduler in time.
        shard.alarm.set(POLL_INTERVAL);
        match shard.queue.promote(PROMOTE_JOBS_MAX, POLL_INTERVAL).await {
            Ok(promoted) => {
                failed = 0;
                shard.queue.link().up();
                if let Some(millis) = promoted.next_in {
                    // Due jobs and new jobs must not starve each other.
                    let crowded = promoted.moved > 0 && promoted.ready > CROWDED_JOBS_MIN;
                    let pause = if crowded { CROWDED_PAUSE } else { Duration::ZERO };
                    shard.alarm.due_in(Duration::from_millis(millis).max(pause));
                }
                shard.held.replace(&promoted.held);
                wake(&shard, &promoted.due).await;
            }
            Err(error) => {
                shard.alarm.set(shard.queue.link().down(&error, failed));
                failed += 1;
            }
        }
    }
}

/// Admits held jobs of these flows.
async fn wake(shard: &ShardRuntime, flows: &[FlowId]) {
    for id in flows {
        if let Err(error) = flow_wake::wake(shard, *id).await {
            // The flow is checked again when it is due.
            shard.queue.link().down(&error, 0);
        }
    }
}
