//! The depth sampler: counts what queues hold, where it is this worker's part to tell it for all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::work::QueueStats;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::flows::Flows;
use crate::observe::gauges::{Depth, Gauges};
use crate::shard::list::ShardList;
use crate::shard::runtime::ShardRuntime;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// What was counted longer ago is told no more: Redis is away, or this worker stands still.
const FRESH: Duration = Duration::from_secs(15);

/// Looks at every queue, and at the flows, again and again until stopped.
pub(crate) async fn run(shards: ShardList, flows: Flows, gauges: Gauges, stop: CancellationToken) {
    let mut known: HashMap<&'static str, Arc<Depth>> = HashMap::new();
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        gauges.breakers.set(flows.breakers());
        for (queue, shards) in by_queue(shards.from(0)) {
            let depth = known.entry(queue).or_insert_with(|| gauges.depths.join(queue));
            tokio::select! {
                stats = count(&shards) => match stats {
                    Ok(Some(stats)) => depth.set(&stats, FRESH),
                    Ok(None) => depth.clear(),
                    // What was counted last is told until it is too old; others tell of troubles with Redis.
                    Err(error) => debug!(%error, queue, "cannot count what the queue holds now"),
                },
                () = stop.cancelled() => return,
            }
        }
        // Not all workers at once.
        pause = PAUSE.mul_f64(0.8 + 0.4 * fastrand::f64());
    }
}

/// The shards of each queue, in their order.
fn by_queue(shards: Vec<Arc<ShardRuntime>>) -> Vec<(&'static str, Vec<Arc<ShardRuntime>>)> {
    let mut queues: Vec<(&'static str, Vec<Arc<ShardRuntime>>)> = vec![];
    for shard in shards {
        let queue = shard.queue.name();
        match queues.iter_mut().find(|(known, _)| *known == queue) {
            Some((_, shards)) => shards.push(shard),
            None => queues.push((queue, vec![shard])),
        }
    }
    queues
}

/// Who may tell is decided at the first shard, which every worker of the queue reads.
async fn count(shards: &[Arc<ShardRuntime>]) -> Result<Option<QueueStats>, Error> {
    let mut sum = QueueStats::default();
    for (index, shard) in shards.iter().enumerate() {
        let Some(stats) = shard.queue.stats(index == 0).await? else { return Ok(None) };
        sum.ready += stats.ready;
        sum.running += stats.running;
        sum.scheduled += stats.scheduled;
        sum.held += stats.held;
        sum.dead += stats.dead;
        sum.oldest_ms = sum.oldest_ms.max(stats.oldest_ms);
        sum.at_ms = sum.at_ms.max(stats.at_ms);
    }
    Ok(Some(sum))
}
