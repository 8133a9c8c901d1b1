//! The scheduler: moves jobs whose time has come, or whose flow has room, back to the stream.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::job::FlowId;
use tokio_util::sync::CancellationToken;

use crate::delivery::flow_wake;
use crate::shard::runtime::ShardRuntime;

/// As many as one script call moves, so that Redis is not held up.
const MOST: usize = 100;
/// With more jobs than this in the stream, one batch is moved each [`PAUSE`].
const CROWDED: u64 = 1000;
const PAUSE: Duration = Duration::from_millis(100);
/// Another worker may have scheduled a job that it did not live to promote.
const LONGEST: Duration = Duration::from_secs(1);

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
        // Set before the call: a job that is scheduled while it runs must not be slept over.
        shard.alarm.set(LONGEST);
        match shard.queue.promote(MOST, LONGEST).await {
            Ok(promoted) => {
                failed = 0;
                shard.queue.link().up();
                if let Some(millis) = promoted.next_in {
                    // What waits for long must not stand in front of what comes now, nor the other way round.
                    let crowded = promoted.moved > 0 && promoted.ready > CROWDED;
                    let pause = if crowded { PAUSE } else { Duration::ZERO };
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

/// Lets those go for whom there is room in their flows.
async fn wake(shard: &ShardRuntime, flows: &[FlowId]) {
    for id in flows {
        if let Err(error) = flow_wake::wake(shard, *id).await {
            // It is looked after again when its time comes.
            shard.queue.link().down(&error, 0);
        }
    }
}
