//! The shards of a worker: one for each shard of each queue, including shards that are added later.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::work::{LogBounds, QueueShard};
use postrider_queue::{ConnectError, Error, QueueName};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::WeightedQueue;
use super::running::{Engine, ShardLoops};

/// How long a worker waits for shards that do not answer, before it works with the others.
const PATIENCE: Duration = Duration::from_secs(1);

/// A shard of a queue, by the queue's name and its number.
type ShardId = (String, u32);

/// A connection that is made or has failed.
struct Connected {
    shard: ShardId,
    weight: u32,
    rank: (usize, u32),
    queue: Result<QueueShard, ConnectError>,
}

/// All shards of a worker.
pub(super) struct Shards {
    queues: Vec<WeightedQueue>,
    /// What the delivery logs of queues keep, unless a queue sets another time.
    log: LogBounds,
    engine: Arc<Engine>,
    running: Vec<ShardLoops>,
    /// Shards that are read.
    read: HashSet<ShardId>,
    /// Shards to which the worker is connecting.
    connecting: JoinSet<Connected>,
    pending: HashSet<ShardId>,
    /// Shards that cannot be read, and why.
    unread: BTreeMap<ShardId, String>,
}

impl Shards {
    pub(super) fn new(queues: Vec<WeightedQueue>, log: LogBounds, engine: Engine) -> Self {
        Self {
            queues,
            log,
            engine: Arc::new(engine),
            running: vec![],
            read: HashSet::new(),
            connecting: JoinSet::new(),
            pending: HashSet::new(),
            unread: BTreeMap::new(),
        }
    }

    /// What all shards use.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Starts the loops of shards that are new. One that does not answer keeps no other waiting: the next calls go on
    /// with it.
    ///
    /// # Errors
    /// The last one, if no shard runs. Otherwise an error is logged once, and the next call tries again.
    pub(super) async fn grow(&mut self) -> Result<(), ConnectError> {
        let before = self.unread.clone();
        for (place, queue) in self.queues.clone().iter().enumerate() {
            self.grow_queue(place, queue).await;
        }
        let (patience, mut last) = (sleep(PATIENCE), None);
        let mut patience = pin!(patience);
        loop {
            let connected = tokio::select! {
                biased;
                connected = self.connecting.join_next() => connected,
                () = &mut patience, if !self.running.is_empty() => break,
            };
            let Some(connected) = connected else { break };
            match connected {
                Ok(connected) => last = self.connected(connected).or(last),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            }
        }
        if let Some(error) = last.filter(|_| self.running.is_empty()) {
            return Err(error);
        }
        let of_queues = |unread: &BTreeMap<ShardId, String>| -> BTreeMap<String, String> {
            unread.iter().map(|((queue, _), error)| (queue.clone(), error.clone())).collect()
        };
        let (before, unread) = (of_queues(&before), of_queues(&self.unread));
        for (queue, error) in unread.iter().filter(|(queue, error)| before.get(*queue) != Some(error)) {
            warn!(queue, error, "cannot read a shard of this queue; retrying until it can be read");
        }
        self.engine.health.set_unread(&unread);
        Ok(())
    }

    /// Connects to the shards of a queue that are new.
    async fn grow_queue(&mut self, place: usize, queue: &WeightedQueue) {
        let redis = self.engine.redis.clone();
        let Ok(Ok(shards)) = timeout(PATIENCE, redis.shards(&queue.name)).await else {
            // Shard 0 always exists, so the first poll needs no reply.
            return self.connect(place, queue, 1);
        };
        self.connect(place, queue, shards.read);
        if shards.read > shards.now && redis.shrink(&queue.name, shards).await.unwrap_or(false) {
            info!(queue = %queue.name, shards = shards.now, "the higher shards are empty and no longer read");
        }
    }

    fn connect(&mut self, place: usize, queue: &WeightedQueue, shards: u32) {
        for number in 0..shards {
            let shard = (queue.name.to_string(), number);
            if self.read.contains(&shard) || !self.pending.insert(shard.clone()) {
                continue;
            }
            let (engine, name, log) = (self.engine.clone(), queue.name.clone(), queue.log(self.log));
            let (weight, rank) = (share(queue.weight, shards), (place, number));
            self.connecting.spawn(async move {
                let queue = engine.connect(&name, number, log).await;
                Connected { shard, weight, rank, queue }
            });
        }
    }

    /// Starts the loops of a shard that is connected. Returns the error of one that is not.
    fn connected(&mut self, connected: Connected) -> Option<ConnectError> {
        let Connected { shard, weight, rank, queue } = connected;
        self.pending.remove(&shard);
        match queue {
            Ok(queue) => {
                self.running.push(ShardLoops::start(&self.engine, queue, weight, rank));
                self.unread.remove(&shard);
                self.read.insert(shard);
                None
            }
            Err(error) => {
                self.unread.insert(shard, error.to_string());
                Some(error)
            }
        }
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

    /// Ends all shards.
    pub(super) async fn end(mut self, deadline: Instant, second_signal: CancellationToken) {
        // That may leave a consumer in a shard. It has no jobs, and other workers remove it like that of a dead worker.
        self.connecting.shutdown().await;
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
