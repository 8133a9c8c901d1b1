//! A worker: its configuration, its start and its shutdown.

mod common_loops;
mod descriptors;
mod health;
mod memory;
mod running;
mod server_warnings;
mod shards;
mod weighted_queue;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::job::FlowLimits;
use postrider_queue::work::{Consumer, LogBounds, Spans, Warnings};
use postrider_queue::{ConnectError, Redis};
use telemetry::Telemetry;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::flows::{Flows, SharedFlows};
use crate::http::secrets::Secrets;
use crate::http::sender::{Sender, SenderConfig, TlsError};
use crate::loops::control::ControlReader;
use crate::loops::fetcher::Order;
use crate::loops::reload;
use crate::observe::gauges::Gauges;
use crate::observe::retry_traces::Retries;
use crate::policy::notice::NoticeSettings;
use crate::policy::{OnDead, RetryPolicies, StoppingQueues, UnknownFieldLog, UnknownFields};
use crate::shard::byte_budget::ByteBudget;
use crate::shard::settings::{CurrentSettings, Settings};
use crate::shard::slots::Slots;
pub(crate) use health::Health;
use running::Engine;
use server_warnings::ServerWarnings;
use shards::Shards;
pub use weighted_queue::WeightedQueue;

/// The configuration of a worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The Redis server with the queues.
    pub redis_url: String,
    /// Which queues to read.
    pub queues: Vec<WeightedQueue>,
    /// How queues are chosen while several have jobs.
    pub order: Order,
    /// How many threads deliver jobs, each as a worker with its part of the limits. Default: 1.
    pub threads: NonZeroUsize,
    /// The maximum number of requests in flight, over all queues and threads. Default: 64.
    pub concurrency: usize,
    /// The maximum bytes of jobs in flight, over all queues and threads; never more than a quarter of the memory. Default: a
    /// quarter of the memory.
    pub bytes_in_flight_max: Option<usize>,
    /// The maximum size of a job, bytes: names and values of the fields that its producer gave. Default: 4 MiB.
    pub job_bytes_max: usize,
    /// How long a job stays with a worker without a heartbeat. Default: 30 s.
    pub lease: Duration,
    /// How long requests in flight may continue after the signal to stop. Default: 25 s.
    pub shutdown_timeout: Duration,
    /// How requests are sent.
    pub sender: SenderConfig,
    /// How failed attempts are retried.
    pub retry: RetryPolicies,
    /// The secrets that sign requests, by the names that jobs use.
    pub secrets: Secrets,
    /// The limits of flows.
    pub flows: FlowLimits,
    /// Where operators get notices. Default: nowhere.
    pub notices: Option<NoticeSettings>,
    /// What the delivery logs of queues keep; with an age of zero, nothing.
    pub log: LogBounds,
    /// How the traces of further attempts are connected. Default: children of the producer's span.
    pub trace_retries: Retries,
    /// Which Redis calls become spans. Default: reads of jobs whose producer's span is recorded, and no
    /// commands.
    pub spans: Spans,
}

/// A worker could not start, or could not continue.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Redis cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// TLS to destinations cannot be set up.
    #[error(transparent)]
    Roots(#[from] TlsError),
    /// The system starts no further thread.
    #[error("a thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
    /// One of its loops has panicked, so it ended.
    #[error("the {0} has panicked; see the log, and restart this worker")]
    Panicked(&'static str),
}

/// The time between two checks for new shards of queues.
const SHARD_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Every 30th poll, starting with the first, also checks for jobs in shards that no worker reads.
const POLLS_PER_REOPEN: u32 = 30;

/// What an engine has from its process.
pub(crate) struct Surroundings {
    pub telemetry: Telemetry,
    /// `None` if telemetry is off, or another engine of the process has them.
    pub gauges: Option<Gauges>,
    pub health: Health,
    /// How many requests may be in flight.
    pub slots: usize,
    pub bytes: ByteBudget,
    /// What the engines of the process share about flows, if there are several.
    pub shared: Option<SharedFlows>,
    /// Whether it logs and counts what concerns all engines of the process.
    pub is_first: bool,
    pub stop: CancellationToken,
    pub second_signal: CancellationToken,
}

/// Works until `stop`, then shuts down in order: it stops fetching, lets requests in flight finish until the
/// deadline or `second_signal`, hands the other jobs back, settles, and leaves the queues. Several may run in one
/// process.
///
/// # Errors
/// If it cannot start. Later it waits until errors pass; if a loop panics, it shuts down in the same order.
pub(crate) async fn run(
    config: &WorkerConfig,
    reloads: mpsc::Receiver<Result<WorkerConfig, String>>,
    own: Surroundings,
) -> Result<(), EngineError> {
    let Surroundings { telemetry, gauges, health, slots, bytes, shared, is_first, stop, second_signal } = own;
    let (slots, consumer, telemetry) = (Slots::new(slots), consumer(config, gauges.is_some()), &telemetry);
    let warnings = consumer.warnings.clone();
    let (settings, current) =
        watch::channel(Arc::new(made_settings(config, slots.all(), telemetry, &warnings)?));
    let redis = tokio::select! {
        redis = Redis::connect_with(&config.redis_url, telemetry, config.spans) => redis?,
        () = stop.cancelled() => return Ok(()),
    };
    let server = ServerWarnings::of(&redis, config).await;
    let (reader, control) = ControlReader::new(redis.clone(), common_loops::queues(config));
    let Some(reader) = common_loops::first_read(reader, &stop).await else { return Ok(()) };
    let engine = Engine {
        redis,
        consumer,
        settings: CurrentSettings::new(current),
        control,
        flows: Flows::new(slots.all(), shared),
        slots,
        bytes,
        telemetry: telemetry.clone(),
        trace_retries: config.trace_retries,
        health: health.clone(),
        troubles: gauges.as_ref().map(|gauges| gauges.troubles.clone()),
        stop: stop.clone(),
    };
    let (consumer, bytes_max) = (engine.consumer.name.clone(), engine.bytes.max());
    let mut shards = Shards::new(config.queues.clone(), config.log, engine);
    if let Err(error) = shards.grow().await {
        // Ends the shards that have begun. The fetcher has not begun.
        stop.cancel();
        shards.end(Instant::now() + config.shutdown_timeout, second_signal).await;
        return Err(error.into());
    }
    let mut loops = common_loops::start(config, shards.engine(), reader, gauges);
    let make = making(shards.engine().slots.all(), telemetry, &warnings);
    let counted = if is_first { telemetry.clone() } else { Telemetry::disabled() };
    let reloads = reload::run(reloads, settings, make, counted, warnings, stop.clone());
    loops.spawn(health.watch("reload", reloads));
    health.started();
    server.log_start(config, &consumer, bytes_max, is_first);
    poll_shards(&mut shards, &health, &stop).await;
    // If a loop has panicked, the others have not been stopped yet.
    stop.cancel();
    health.stopping();
    let deadline = Instant::now() + config.shutdown_timeout;
    while loops.join_next().await.is_some() {}
    shards.end(deadline, second_signal).await;
    info!("stopped");
    health.panicked_loop().map_or(Ok(()), |name| Err(EngineError::Panicked(name)))
}

fn making(
    slots: usize,
    telemetry: &Telemetry,
    warnings: &Warnings,
) -> impl Fn(&WorkerConfig) -> Result<Settings, TlsError> + Clone + Send + use<> {
    let (telemetry, warnings) = (telemetry.clone(), warnings.clone());
    move |config| made_settings(config, slots, &telemetry, &warnings)
}

/// How many requests may be in flight, over all threads: as many as wanted, if there are descriptors for them.
pub(crate) fn slots(config: &WorkerConfig) -> usize {
    let connections = config.queues.len() * config.threads.get();
    descriptors::slots(config.concurrency, descriptors::raise(), connections)
}

/// The bytes that jobs in flight may use, for each thread, with their metrics.
pub(crate) fn budgets(config: &WorkerConfig, telemetry: &Telemetry) -> Vec<ByteBudget> {
    let threads = config.threads.get();
    let max = memory::bytes_in_flight(config.bytes_in_flight_max, config.job_bytes_max, threads);
    let budget = |_| ByteBudget::new(max / threads, config.job_bytes_max);
    let budgets: Vec<ByteBudget> = (0..threads).map(budget).collect();
    ByteBudget::observe(&budgets, telemetry);
    budgets
}

/// The settings that deliveries use.
fn made_settings(
    config: &WorkerConfig,
    slots: usize,
    telemetry: &Telemetry,
    warnings: &Warnings,
) -> Result<Settings, TlsError> {
    let mut sender = config.sender.clone();
    let [of_host, most] = sender.http.idle_max(config.concurrency);
    // Idle connections must not take the descriptors that requests need.
    let most = most.min(descriptors::idle(slots, config.threads));
    (sender.http.max_idle_per_host, sender.http.max_idle) = (Some(of_host), Some(most));
    let refusing = config.queues.iter().filter(|queue| queue.unknown_fields == UnknownFields::Refuse);
    let stopping = config.queues.iter().filter(|queue| queue.on_dead == OnDead::Stop);
    Ok(Settings {
        retry: config.retry.clone(),
        on_dead: StoppingQueues::new(stopping.map(|queue| queue.name.to_string())),
        unknown: UnknownFieldLog::new(refusing.map(|queue| queue.name.to_string())),
        secrets: config.secrets.clone(),
        flows: config.flows.clone(),
        notices: config.notices.clone(),
        sender: Sender::new(&sender, telemetry, warnings)?,
    })
}

/// Starts new shards, and renews the reports to flows, until the worker is stopped or a loop panics.
async fn poll_shards(shards: &mut Shards, health: &Health, stop: &CancellationToken) {
    for poll in 0_u32.. {
        let polled = async {
            tokio::time::sleep(SHARD_POLL_INTERVAL).await;
            if poll % POLLS_PER_REOPEN == 0
                && let Err(error) = shards.reopen().await
            {
                debug!(%error, "cannot check for jobs in shards that no worker reads");
            }
            if let Err(error) = shards.grow().await {
                debug!(%error, "cannot check for new shards now");
            }
            shards.report_flows().await;
        };
        // This also interrupts a poll: a Redis that does not answer would delay the shutdown. That may leave
        // a consumer in a shard that was being started. It has no jobs, and other workers remove it like that
        // of a dead worker.
        tokio::select! {
            () = polled => {}
            () = stop.cancelled() => break,
            () = health.wait_for_panic() => break,
        }
    }
}

/// This process, with a name that is unique among all processes: host, process id, and a random number, since
/// process ids repeat.
fn consumer(config: &WorkerConfig, measures: bool) -> Consumer {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|char| char.is_ascii_alphanumeric() || ".-_".contains(*char)).collect();
    let name = format!("{host}-{}-{:08x}", std::process::id(), fastrand::u32(..));
    let warnings = Warnings::default();
    Consumer { name, lease: config.lease, entry_bytes_max: config.job_bytes_max, measures, warnings }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn a_queue_may_keep_its_delivery_log_for_another_time() {
        let queue = |keep| WeightedQueue { keep, ..WeightedQueue::from_str("mail").unwrap() };
        let age = |keep: Option<u64>, worker: u64| {
            let log =
                queue(keep.map(Duration::from_secs)).log(LogBounds::for_age(Duration::from_secs(worker)));
            log.map(|log| log.age_ms / 1000)
        };
        assert_eq!([age(None, 0), age(Some(0), 0), age(Some(0), 5)], [None; 3]);
        assert_eq!([age(None, 5), age(Some(7), 5), age(Some(7), 0)], [Some(5), Some(7), Some(7)]);
    }
}
