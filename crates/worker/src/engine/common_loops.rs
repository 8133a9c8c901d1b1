//! The loops that serve all shards of a worker.

use postrider_queue::QueueName;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::WorkerConfig;
use super::running::Engine;
use crate::loops::control::ControlReader;
use crate::loops::fetcher::Fetcher;
use crate::loops::notices::Notices;
use crate::loops::{depth_sampler, stall_watch};
use crate::observe::gauges::Gauges;
use crate::observe::notice_counts::NoticeCounts;

/// Reads for the first time what operators have set, before any loop begins. `None` if the worker is stopped.
pub(super) async fn first_read(mut reader: ControlReader, stop: &CancellationToken) -> Option<ControlReader> {
    tokio::select! {
        () = reader.read_first() => Some(reader),
        () = stop.cancelled() => None,
    }
}

/// Starts them.
pub(super) fn start(
    config: &WorkerConfig,
    engine: &Engine,
    reader: ControlReader,
    gauges: Option<Gauges>,
) -> JoinSet<()> {
    let Engine { slots, bytes, flows, control, health, stop, .. } = engine;
    let list = health.shards();
    let fetcher = Fetcher::new(
        list.clone(),
        slots.clone(),
        bytes.clone(),
        flows.clone(),
        control.clone(),
        config.order,
    );
    let mut loops = JoinSet::new();
    loops.spawn(health.watch("fetcher", fetcher.run(stop.clone())));
    loops.spawn(health.watch("control", reader.run(stop.clone())));
    if let Some(queue) = queues(config).into_iter().next() {
        let notices = Notices {
            redis: engine.redis.clone(),
            shards: list.clone(),
            flows: flows.clone(),
            control: control.clone(),
            settings: engine.settings.clone(),
            queue,
            counts: NoticeCounts::new(&engine.telemetry),
            warnings: engine.consumer.warnings.clone(),
        };
        loops.spawn(health.watch("notices", notices.run(stop.clone())));
    }
    loops.spawn(stall_watch::run(config.lease, stop.clone()));
    if let Some(gauges) = gauges {
        gauges.pauses.report(queues(config).iter().map(QueueName::to_string).collect(), control.clone());
        loops.spawn(depth_sampler::run(list.clone(), flows.clone(), gauges, stop.clone()));
    }
    loops
}

/// The queues of a worker.
pub(super) fn queues(config: &WorkerConfig) -> Vec<QueueName> {
    config.queues.iter().map(|queue| queue.name.clone()).collect()
}
