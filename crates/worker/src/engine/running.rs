//! One shard with its loops.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use postrider_queue::work::{Consumer, LogBounds, QueueShard, TURNS_MAX};
use postrider_queue::{ConnectError, QueueName, Redis};
use telemetry::Telemetry;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::health::Health;
use crate::delivery::deliver::Dependencies;
use crate::delivery::deliveries::Deliveries;
use crate::delivery::flow_gate::Gate;
use crate::delivery::flow_wake::Waker;
use crate::delivery::process_span::JobSpans;
use crate::delivery::settlement::{Settlements, Succeeded};
use crate::delivery::turn::Turns;
use crate::flows::Flows;
use crate::loops::completer::{self, Completer};
use crate::loops::cron::Cron;
use crate::loops::reclaimer::{self, Reclaimer};
use crate::loops::shard_list::ServedShard;
use crate::loops::turn_taker::{self, TurnTaker};
use crate::loops::{heartbeat, scheduler, sweeper, unsettled};
use crate::observe::counters::Counts;
use crate::observe::gauges::Troubles;
use crate::observe::retry_traces::Retries;
use crate::shard::byte_budget::ByteBudget;
use crate::shard::control::CurrentControl;
use crate::shard::leases::Leases;
use crate::shard::settings::CurrentSettings;
use crate::shard::slots::{Slots, Work};
use crate::shard::unsettled::Unsettled;

/// The time for the last settlements. With the default shutdown timeout of 25 s and the flush of telemetry of
/// 2 s, the sum stays below 30 s, after which Kubernetes and others usually kill a process.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// How many successful jobs may be on their way to the completer, besides those that have slots. A shard with
/// more takes in no more jobs, so that no job waits for a place here.
const COMPLETER_JOBS_MAX: usize = 2 * 1024;

/// What all shards of a worker use.
pub(super) struct Engine {
    pub(super) redis: Redis,
    pub(super) consumer: Consumer,
    pub(super) settings: CurrentSettings,
    pub(super) control: CurrentControl,
    pub(super) flows: Flows,
    pub(super) slots: Slots,
    pub(super) bytes: ByteBudget,
    pub(super) telemetry: Telemetry,
    pub(super) trace_retries: Retries,
    pub(super) health: Health,
    pub(super) troubles: Option<Troubles>,
    pub(super) stop: CancellationToken,
}

impl Engine {
    /// Connects to a shard of a queue.
    pub(super) async fn connect(
        &self,
        queue: &QueueName,
        shard: u32,
        log: Option<LogBounds>,
    ) -> Result<QueueShard, ConnectError> {
        self.redis.worker_shard(queue, shard, self.consumer.clone(), log).await
    }

    /// The work on the jobs of a shard. Successful jobs go to `succeeded`.
    fn deliveries(&self, queue: &QueueShard, succeeded: mpsc::Sender<Succeeded>, turns: Turns) -> Deliveries {
        let counts = Arc::new(Counts::new(&self.telemetry, queue.name()));
        let leases = Arc::new(Leases::new(counts.clone(), self.bytes.clone()));
        let (flows, held) = (self.flows.clone(), self.flows.join());
        let spans = JobSpans {
            telemetry: self.telemetry.clone(),
            queue: queue.clone(),
            counts: counts.clone(),
            retries: self.trace_retries,
        };
        let dependencies = Dependencies {
            queue: queue.clone(),
            settings: self.settings.clone(),
            gate: Gate {
                queue: queue.clone(),
                flows,
                held,
                control: self.control.clone(),
                counts: counts.clone(),
            },
            leases: leases.clone(),
            spans: spans.clone(),
            counts: counts.clone(),
        };
        let settlements = Settlements {
            queue: queue.clone(),
            leases: leases.clone(),
            settings: self.settings.clone(),
            alarm: Arc::default(),
            succeeded,
            unsettled: Arc::new(Unsettled::new(counts.unsettled(), self.bytes.max())),
            spans,
            counts,
            lines: Arc::default(),
            cut: CancellationToken::new(),
        };
        let (work, panicked) = (Work::default(), AtomicBool::new(false));
        Deliveries { leases, dependencies, settlements: Arc::new(settlements), turns, work, panicked }
    }
}

/// One shard with its loops.
pub(super) struct ShardLoops {
    queue: QueueShard,
    gate: Gate,
    settings: CurrentSettings,
    deliveries: Arc<Deliveries>,
    /// Reclaimer, scheduler, sweeper and cron. They end first.
    taking: JoinSet<()>,
    /// Completer and repeater of settlements.
    settling: JoinSet<()>,
    /// Cancelled when no further job will end.
    drained: CancellationToken,
    /// The heartbeat. It ends last.
    heartbeat: JoinHandle<()>,
    stop_leases: CancellationToken,
}

impl ShardLoops {
    /// Starts the loops, and lets the fetcher read the shard.
    pub(super) fn start(engine: &Engine, queue: QueueShard, weight: u32, rank: (usize, u32)) -> Self {
        let Engine { health, stop, settings, .. } = engine;
        let (succeeded, to_settle) = mpsc::channel(COMPLETER_JOBS_MAX + engine.slots.all());
        let (turns, requests) = mpsc::channel(TURNS_MAX);
        let deliveries = Arc::new(engine.deliveries(&queue, succeeded, Turns(turns)));
        let Deliveries { leases, dependencies: Dependencies { gate, counts, .. }, settlements, .. } =
            &*deliveries;
        let drained = CancellationToken::new();
        let mut settling = settle(engine, &deliveries, to_settle, &drained);
        let (own, leases_of_turns, drained_turns) = (queue.clone(), leases.clone(), drained.clone());
        let taker = TurnTaker { queue: own, leases: leases_of_turns, requests, drained: drained_turns };
        settling.spawn(health.watch("turn taker", turn_taker::run(taker)));
        let stop_leases = CancellationToken::new();
        let heartbeat = heartbeat::run(queue.clone(), leases.clone(), stop_leases.clone());
        let heartbeat = tokio::spawn(health.watch("heartbeat", heartbeat));
        let reclaimer = Reclaimer {
            queue: queue.clone(),
            deliveries: deliveries.clone(),
            counts: counts.clone(),
            slots: engine.slots.clone(),
            bytes: engine.bytes.clone(),
            control: engine.control.clone(),
            suspects_outlived: Arc::default(),
        };
        let mut taking = JoinSet::new();
        taking.spawn(health.watch("reclaimer", reclaimer::run(reclaimer, stop.clone())));
        let (gate, alarm, settings) = (gate.clone(), settlements.alarm.clone(), settings.clone());
        let waker = Waker { gate: gate.clone(), alarm: alarm.clone(), settings: settings.clone() };
        taking.spawn(health.watch("scheduler", scheduler::run(waker, stop.clone())));
        taking.spawn(
            health.watch(
                "sweeper",
                sweeper::run(queue.clone(), alarm, settlements.lines.clone(), stop.clone()),
            ),
        );
        // The definitions of a queue are with its first shard.
        if queue.number() == 0 {
            let cron = Cron::new(queue.clone(), counts.clone());
            taking.spawn(health.watch("cron", cron.run(stop.clone())));
        }
        if let Some(troubles) = &engine.troubles {
            troubles.join(queue.clone());
        }
        let shard = ServedShard { queue: queue.clone(), weight, rank, deliveries: deliveries.clone() };
        health.shards().join(Arc::new(shard));
        Self { queue, gate, settings, deliveries, taking, settling, drained, heartbeat, stop_leases }
    }

    /// Reports this worker's attempts to the flows again, before its last report expires.
    pub(super) async fn report_flows(&self) {
        self.gate.report_all_attempts(&self.settings.get().flows).await;
    }

    /// Keeps reporting running attempts to the flows: without reports, other workers would exceed the limits.
    async fn keep_reporting(&self) -> Infallible {
        loop {
            self.report_flows().await;
            tokio::time::sleep(super::SHARD_POLL_INTERVAL).await;
        }
    }

    /// Ends the shard: lets requests finish until the deadline or `second_signal`, hands back the other jobs, settles,
    /// and leaves.
    pub(super) async fn end(mut self, deadline: Instant, second_signal: CancellationToken) {
        while self.taking.join_next().await.is_some() {}
        let cut = tokio::select! {
            () = self.deliveries.work.finished() => None,
            () = tokio::time::sleep_until(deadline) => Some("the shutdown timeout is over"),
            () = second_signal.cancelled() => Some("received a second signal"),
            never = self.keep_reporting() => match never {},
        };
        let deliveries = self.deliveries.clone();
        if tokio::time::timeout(SETTLE_TIMEOUT, self.finish(cut)).await.is_err() {
            deliveries.settlements.cut.cancel();
            warn!("Redis did not accept the last settlements in time; their jobs will be sent again");
        }
    }

    async fn finish(self, cut: Option<&str>) {
        if let Some(why) = cut {
            self.hand_back(why).await;
        }
        self.deliveries.work.finished().await;
        self.drained.cancel();
        self.settling.join_all().await;
        self.stop_leases.cancel();
        let _ = self.heartbeat.await;
        match self.queue.leave().await {
            Ok(0) => {}
            Ok(jobs) => {
                info!(jobs, "handed back jobs that Redis had delivered and this worker had not received");
            }
            Err(error) => {
                warn!(%error, "could not leave the queue; other workers will take over its jobs");
            }
        }
        self.queue.close().await;
    }

    /// Aborts the requests in flight and hands their jobs back: they are ready at once, and the cut requests
    /// do not count as attempts.
    async fn hand_back(&self, why: &str) {
        let cut = self.deliveries.leases.in_flight.cut();
        if !cut.is_empty() {
            warn!(jobs = cut.len(), why, "aborting requests in flight and handing their jobs back");
        }
        let settlements = &self.deliveries.settlements;
        let all = cut.iter().map(|(lease, delivery)| settlements.hand_back(*lease, delivery));
        futures_util::future::join_all(all).await;
    }
}

/// Starts the loops that settle jobs.
fn settle(
    engine: &Engine,
    deliveries: &Deliveries,
    succeeded: mpsc::Receiver<Succeeded>,
    drained: &CancellationToken,
) -> JoinSet<()> {
    let settlements = &deliveries.settlements;
    let completer = Completer {
        queue: settlements.queue.clone(),
        leases: settlements.leases.clone(),
        spans: settlements.spans.clone(),
        succeeded,
        unsettled: settlements.unsettled.clone(),
        drained: drained.clone(),
        cut: settlements.cut.clone(),
    };
    let mut settling = JoinSet::new();
    settling.spawn(engine.health.watch("completer", completer::run(completer)));
    let repeater = unsettled::run(settlements.clone(), drained.clone());
    settling.spawn(engine.health.watch("repeater of settlements", repeater));
    settling
}
