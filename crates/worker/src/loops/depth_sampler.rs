//! The depth sampler: counts the jobs of queues, if this worker is the one that reports them for all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::work::QueueStats;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::shard_list::{ServedShard, ShardList};
use crate::flows::Flows;
use crate::observe::gauges::{Depth, Gauges};

/// The mean time between two counts.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// An older count is not reported: Redis does not answer, or this worker hangs.
const COUNT_AGE_MAX: Duration = Duration::from_secs(15);

/// Counts the jobs of every queue, and the breakers of flows, until stopped.
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
                    Ok(Some(stats)) => depth.set(&stats, COUNT_AGE_MAX),
                    Ok(None) => depth.clear(),
                    // The last count is reported until it is too old. Other loops log that Redis fails.
                    Err(error) => debug!(%error, queue, "cannot count the jobs of the queue now"),
                },
                () = stop.cancelled() => return,
            }
        }
        // Jitter, so that workers do not count at the same time.
        pause = COUNT_INTERVAL.mul_f64(0.8 + 0.4 * fastrand::f64());
    }
}

/// The shards of each queue, in their order.
fn by_queue(shards: Vec<Arc<ServedShard>>) -> Vec<(&'static str, Vec<Arc<ServedShard>>)> {
    let mut queues: Vec<(&'static str, Vec<Arc<ServedShard>>)> = vec![];
    for shard in shards {
        let queue = shard.queue.name();
        match queues.iter_mut().find(|(known, _)| *known == queue) {
            Some((_, shards)) => shards.push(shard),
            None => queues.push((queue, vec![shard])),
        }
    }
    queues
}

/// The first shard decides which worker reports, since every worker of the queue reads it.
async fn count(shards: &[Arc<ServedShard>]) -> Result<Option<QueueStats>, Error> {
    let mut sum = QueueStats::default();
    for (index, shard) in shards.iter().enumerate() {
        let Some(stats) = shard.queue.stats(index == 0).await? else { return Ok(None) };
        sum.ready += stats.ready;
        sum.running += stats.running;
        sum.scheduled += stats.scheduled;
        sum.held += stats.held;
        sum.dead += stats.dead;
        sum.dead_deleted += stats.dead_deleted;
        sum.rejected_deleted += stats.rejected_deleted;
        sum.stopped_keys += stats.stopped_keys;
        sum.oldest_ms = sum.oldest_ms.max(stats.oldest_ms);
        sum.at_ms = sum.at_ms.max(stats.at_ms);
    }
    Ok(Some(sum))
}
