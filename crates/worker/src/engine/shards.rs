//! The shards of a worker: one for each shard of each queue, including shards that are added later.

use std::collections::{BTreeMap, HashMap};

use postrider_queue::work::LogBounds;
use postrider_queue::{ConnectError, Error, QueueName};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::WeightedQueue;
use super::running::{Engine, ShardLoops};

/// All shards of a worker.
pub(super) struct Shards {
    queues: Vec<WeightedQueue>,
    /// What the delivery logs of queues keep, unless a queue sets another time.
    log: LogBounds,
    engine: Engine,
    running: Vec<ShardLoops>,
    /// How many shards of each queue are read.
    read: HashMap<String, u32>,
    /// Queues with a shard that cannot be read, and why.
    unread: BTreeMap<String, String>,
}

impl Shards {
    pub(super) fn new(queues: Vec<WeightedQueue>, log: LogBounds, engine: Engine) -> Self {
        Self { queues, log, engine, running: vec![], read: HashMap::new(), unread: BTreeMap::new() }
    }

    /// What all shards use.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Starts the loops of shards that are new.
    ///
    /// # Errors
    /// The last one, if no shard runs. Otherwise an error of one queue does not keep the others waiting: it is
    /// logged once, and the next call tries again.
    pub(super) async fn grow(&mut self) -> Result<(), ConnectError> {
        let (mut unread, mut last) = (BTreeMap::new(), None);
        for queue in self.queues.clone() {
            if let Err(error) = self.grow_queue(&queue).await {
                unread.insert(queue.name.to_string(), error.to_string());
                last = Some(error);
            }
        }
        if let Some(error) = last.filter(|_| self.running.is_empty()) {
            return Err(error);
        }
        for (queue, error) in &unread {
            if self.unread.get(queue) != Some(error) {
                warn!(queue, error, "cannot read a shard of this queue; retrying until it can be read");
            }
        }
        self.engine.health.set_unread(&unread);
        self.unread = unread;
        Ok(())
    }

    async fn grow_queue(&mut self, queue: &WeightedQueue) -> Result<(), ConnectError> {
        let Ok(shards) = self.engine.redis.shards(&queue.name).await else {
            // Shard 0 always exists, so the first poll needs no reply.
            return self.start(queue, 1).await;
        };
        self.start(queue, shards.read).await?;
        let redis = &self.engine.redis;
        if shards.read > shards.now && redis.shrink(&queue.name, shards).await.unwrap_or(false) {
            info!(queue = %queue.name, shards = shards.now, "the higher shards are empty and no longer read");
        }
        Ok(())
    }

    /// Makes workers read higher shards again that still hold jobs.
    ///
    /// # Errors
    /// The last one: an error of one queue does not keep the others waiting.
    pub(super) async fn reopen(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        for queue in &self.queues {
            if let Err(error) = self.reopen_queue(&queue.name).await {
                result = Err(error);
            }
        }
        result
    }

    async fn reopen_queue(&self, queue: &QueueName) -> Result<(), Error> {
        let shards = self.engine.redis.shards(queue).await?;
        let read = self.engine.redis.reopen(queue, shards).await?;
        if read > shards.read {
            warn!(%queue, shards = shards.now, read, "higher shards hold jobs and are read until they are empty");
        }
        Ok(())
    }

    /// Reports this worker's attempts to the flows again, before its last report expires.
    pub(super) async fn report_flows(&self) {
        if let Some(running) = self.running.first() {
            running.report_flows().await;
        }
    }

    async fn start(&mut self, queue: &WeightedQueue, shards: u32) -> Result<(), ConnectError> {
        let from = self.read.get(&queue.name.to_string()).copied().unwrap_or(0);
        for shard in from..shards {
            let weight = share(queue.weight, shards);
            let queue_shard = self.engine.connect(&queue.name, shard, queue.log(self.log)).await?;
            let running = ShardLoops::start(&self.engine, queue_shard, weight);
            self.running.push(running);
            self.read.insert(queue.name.to_string(), shard + 1);
        }
        Ok(())
    }

    /// Ends all shards.
    pub(super) async fn end(self, deadline: Instant, second_signal: CancellationToken) {
        let mut ends = JoinSet::new();
        for shard in self.running {
            ends.spawn(
                self.engine.health.watch("end of a shard", shard.end(deadline, second_signal.clone())),
            );
        }
        ends.join_all().await;
        self.engine.redis.close().await;
    }
}

/// The weight of one of several shards: a queue does not get more for having more shards. Weights are scaled,
/// since they are integers.
fn share(weight: u32, shards: u32) -> u32 {
    const SCALE: u32 = 64;
    (weight * SCALE / shards.max(1)).max(1)
}
