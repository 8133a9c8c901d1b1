//! The shards of a worker with their loops: one for each shard of each queue.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use postrider_queue::work::{Consumer, Queue};
use postrider_queue::{ConnectError, Error, Redis};
use telemetry::Telemetry;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{WeightedQueue, WorkerConfig};
use crate::delivery::flow_gate;
use crate::delivery::settlement;
use crate::flows::Flows;
use crate::http::secrets::Secrets;
use crate::http::sender::Sender;
use crate::loops::{completer, heartbeat, reclaimer, scheduler, sweeper};
use crate::observe::counters::Counts;
use crate::observe::retries::Retries;
use crate::policy::RetryPolicies;
use crate::process::status::Health;
use crate::shard::alarm::Alarm;
use crate::shard::in_flight::InFlight;
use crate::shard::list::ShardList;
use crate::shard::runtime::ShardRuntime;
use crate::shard::slots::{Slots, Work};

/// The time for the last settlements. With the default shutdown timeout of 25 s and the flush of telemetry of
/// 2 s, the sum stays below 30 s, after which Kubernetes and others usually kill a process.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the shards of a worker share with its other parts.
pub(super) struct Shared {
    pub(super) shards: ShardList,
    pub(super) slots: Slots,
    pub(super) health: Health,
    pub(super) stop: CancellationToken,
}

/// All shards of a worker.
pub(super) struct Shards {
    queues: Vec<WeightedQueue>,
    redis: Redis,
    consumer: Consumer,
    sender: Sender,
    flows: Flows,
    retry: Arc<RetryPolicies>,
    secrets: Arc<Secrets>,
    telemetry: Telemetry,
    trace_retries: Retries,
    shared: Shared,
    running: Vec<Running>,
    /// How many shards of each queue are read.
    read: HashMap<String, u32>,
}

impl Shards {
    pub(super) fn new(
        config: &WorkerConfig,
        redis: Redis,
        consumer: Consumer,
        sender: Sender,
        telemetry: &Telemetry,
        shared: Shared,
    ) -> Self {
        Self {
            queues: config.queues.clone(),
            redis,
            consumer,
            sender,
            flows: Flows::new(config.concurrency, config.flows.clone()),
            retry: Arc::new(config.retry.clone()),
            secrets: Arc::new(config.secrets.clone()),
            telemetry: telemetry.clone(),
            trace_retries: config.trace_retries,
            shared,
            running: vec![],
            read: HashMap::new(),
        }
    }

    pub(super) fn flows(&self) -> Flows {
        self.flows.clone()
    }

    /// Starts the loops of shards that are new.
    pub(super) async fn grow(&mut self) -> Result<(), ConnectError> {
        for queue in self.queues.clone() {
            let Ok(shards) = self.redis.shards(&queue.name).await else {
                // Shard 0 always exists, so the first poll needs no reply.
                self.start(&queue, 1).await?;
                continue;
            };
            self.start(&queue, shards.read).await?;
            if shards.read > shards.now && self.redis.shrink(&queue.name, shards).await.unwrap_or(false) {
                info!(queue = %queue.name, shards = shards.now, "the higher shards are empty and no longer read");
            }
        }
        Ok(())
    }

    /// Makes workers read higher shards again that still hold jobs.
    pub(super) async fn reopen(&mut self) -> Result<(), Error> {
        for queue in &self.queues {
            let shards = self.redis.shards(&queue.name).await?;
            let read = self.redis.reopen(&queue.name, shards).await?;
            if read > shards.read {
                let queue = &queue.name;
                warn!(%queue, shards = shards.now, read, "higher shards hold jobs and are read until they are empty");
            }
        }
        Ok(())
    }

    /// Reports this worker's attempts to the flows again, before its last report expires.
    pub(super) async fn report_flows(&self) {
        if let Some(running) = self.running.first() {
            flow_gate::report_all_attempts(&running.shard).await;
        }
    }

    async fn start(&mut self, queue: &WeightedQueue, shards: u32) -> Result<(), ConnectError> {
        let from = self.read.get(&queue.name.to_string()).copied().unwrap_or(0);
        for shard in from..shards {
            let connected = self.redis.worker(&queue.name, shard, self.consumer.clone()).await?;
            let weight = share(queue.weight, shards);
            let running = Running::start(self.shard(connected, weight), &self.shared);
            self.shared.shards.join(running.shard.clone());
            self.running.push(running);
            self.read.insert(queue.name.to_string(), shard + 1);
        }
        Ok(())
    }

    fn shard(
        &self,
        queue: Queue,
        weight: u32,
    ) -> (ShardRuntime, mpsc::Receiver<crate::shard::runtime::Done>) {
        // Holds the jobs that succeed while one group is settled.
        let (done, to_settle) = mpsc::channel(1024);
        let counts = Counts::new(&self.telemetry, queue.name());
        let shard = ShardRuntime {
            queue,
            weight,
            in_flight: InFlight::new(counts.in_flight()),
            counts,
            retries: self.trace_retries,
            alarm: Alarm::default(),
            sender: self.sender.clone(),
            flows: self.flows.clone(),
            held: self.flows.join(),
            retry: self.retry.clone(),
            secrets: self.secrets.clone(),
            done,
            work: Work::default(),
            panicked: AtomicBool::new(false),
            drained: CancellationToken::new(),
            cut: CancellationToken::new(),
            telemetry: self.telemetry.clone(),
        };
        (shard, to_settle)
    }

    /// Ends all shards.
    pub(super) async fn end(self, deadline: Instant, hurry: CancellationToken) {
        let mut ends = JoinSet::new();
        for shard in self.running {
            ends.spawn(self.shared.health.watch("end of a shard", shard.end(deadline, hurry.clone())));
        }
        ends.join_all().await;
        self.redis.close().await;
    }
}

/// The weight of one of several shards: a queue does not get more for having more shards. Weights are scaled,
/// since they are integers.
fn share(weight: u32, shards: u32) -> u32 {
    const SCALE: u32 = 64;
    (weight * SCALE / shards.max(1)).max(1)
}

/// One shard with its loops.
struct Running {
    shard: Arc<ShardRuntime>,
    /// Reclaimer, scheduler and sweeper. They end first.
    taking: JoinSet<()>,
    /// The heartbeat. It ends last.
    leases: JoinHandle<()>,
    stop_leases: CancellationToken,
    completer: JoinHandle<()>,
}

impl Running {
    fn start(
        (shard, to_settle): (ShardRuntime, mpsc::Receiver<crate::shard::runtime::Done>),
        shared: &Shared,
    ) -> Self {
        let Shared { slots, health, stop, .. } = shared;
        let shard = Arc::new(shard);
        let mut taking = JoinSet::new();
        let reclaimer = reclaimer::run(shard.clone(), slots.clone(), stop.clone());
        taking.spawn(health.watch("reclaimer", reclaimer));
        taking.spawn(health.watch("scheduler", scheduler::run(shard.clone(), stop.clone())));
        taking.spawn(health.watch("sweeper", sweeper::run(shard.clone(), stop.clone())));
        let stop_leases = CancellationToken::new();
        let leases = heartbeat::run(shard.clone(), stop_leases.clone());
        let leases = tokio::spawn(health.watch("heartbeat", leases));
        let completer = tokio::spawn(health.watch("completer", completer::run(shard.clone(), to_settle)));
        Self { shard, taking, leases, stop_leases, completer }
    }

    async fn end(self, deadline: Instant, hurry: CancellationToken) {
        let Self { shard, taking, leases, stop_leases, completer } = self;
        taking.join_all().await;
        let cut = tokio::select! {
            () = shard.work.finished() => None,
            () = tokio::time::sleep_until(deadline) => Some("the shutdown timeout is over"),
            () = hurry.cancelled() => Some("received a second signal"),
            never = keep_reporting(&shard) => match never {},
        };
        let finish = async {
            if let Some(why) = cut {
                hand_back(&shard, why).await;
            }
            shard.work.finished().await;
            shard.drained.cancel();
            let _ = completer.await;
            stop_leases.cancel();
            let _ = leases.await;
            match shard.queue.leave().await {
                Ok(0) => {}
                Ok(jobs) => {
                    info!(jobs, "handed back jobs that Redis had delivered and this worker had not received")
                }
                Err(error) => {
                    warn!(%error, "could not leave the queue; other workers will take over its jobs")
                }
            }
            shard.queue.close().await;
        };
        if tokio::time::timeout(SETTLE_TIMEOUT, finish).await.is_err() {
            shard.cut.cancel();
            warn!("Redis did not accept the last settlements in time; their jobs will be sent again");
        }
    }
}

/// Keeps reporting running attempts to the flows: without reports, other workers would exceed the limits.
async fn keep_reporting(shard: &ShardRuntime) -> Infallible {
    loop {
        flow_gate::report_all_attempts(shard).await;
        tokio::time::sleep(super::SHARD_POLL_INTERVAL).await;
    }
}

/// Aborts the requests in flight and hands their jobs back: they are ready at once, and the cut requests do
/// not count as attempts.
async fn hand_back(shard: &ShardRuntime, why: &str) {
    let cut = shard.in_flight.cut();
    if !cut.is_empty() {
        warn!(jobs = cut.len(), why, "aborting requests in flight and handing their jobs back");
    }
    let all = cut.iter().map(|(lease, delivery)| settlement::hand_back(shard, *lease, delivery));
    futures_util::future::join_all(all).await;
}
