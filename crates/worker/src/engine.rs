//! A worker: its shards, its loops, and its end.

mod shards;

use std::net::SocketAddr;
use std::time::Duration;

use postrider_queue::job::FlowLimits;
use postrider_queue::work::{Consumer, Spans};
use postrider_queue::{BadQueueName, ConnectError, QueueName, Redis};
use telemetry::Telemetry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::http::secrets::Secrets;
use crate::http::sender::{Sender, SenderConfig, TlsError};
use crate::loops::depth_sampler;
use crate::loops::fetcher::{Fetcher, Order};
use crate::observe::gauges::Gauges;
use crate::observe::retries::Retries;
use crate::policy::RetryPolicies;
use crate::process::status::{Health, ListenError, Status};
use crate::shard::list::ShardList;
use crate::shard::slots::Slots;
use shards::{Shards, Shared};

/// A queue to read, and how often in proportion to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedQueue {
    /// The queue.
    pub name: QueueName,
    /// 1 to 1000. Default: 1.
    pub weight: u32,
}

impl std::str::FromStr for WeightedQueue {
    type Err = String;

    /// `NAME` or `NAME:WEIGHT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, weight) = match text.split_once(':') {
            Some((name, weight)) => {
                let weight = weight.parse().ok().filter(|weight| (1..=1000).contains(weight));
                (name, weight.ok_or("the weight of a queue must be 1 to 1000, as in bulk:1")?)
            }
            None => (text, 1),
        };
        let name = name.parse().map_err(|error: BadQueueName| error.to_string())?;
        Ok(Self { name, weight })
    }
}

/// What a worker does, and how much of it.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Where the queues are.
    pub redis_url: String,
    /// Which queues to read.
    pub queues: Vec<WeightedQueue>,
    /// How queues are chosen while several have jobs.
    pub order: Order,
    /// How many requests are in flight at once, over all queues. Default: 64.
    pub concurrency: usize,
    /// How long a job stays with a worker that gives no sign of life. Default: 30 s.
    pub lease: Duration,
    /// How long requests in flight may go on after the signal to stop. Default: 25 s.
    pub shutdown_timeout: Duration,
    /// How requests are sent.
    pub sender: SenderConfig,
    /// How failed attempts are repeated.
    pub retry: RetryPolicies,
    /// What requests are signed with, by the names that jobs give.
    pub secrets: Secrets,
    /// How many attempts of each flow may be made.
    pub flows: FlowLimits,
    /// How the traces of further attempts belong to what was before. Default: children of the producer's span.
    pub trace_retries: Retries,
    /// What else becomes spans. Default: reads for jobs that their producer records, and no Redis commands.
    pub spans: Spans,
    /// Where the worker says how it fares. Default: nowhere.
    pub listen: Option<SocketAddr>,
}

/// The worker could not start, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Redis.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// TLS to destinations.
    #[error(transparent)]
    Roots(#[from] TlsError),
    /// The address to say how it fares.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// One of its loops, so that it ended.
    #[error("the {0} has panicked; see the log, and start this worker anew")]
    Panicked(&'static str),
}

/// How often it is looked whether queues have more shards.
const LOOK: Duration = Duration::from_secs(2);
/// Once in so many looks, at the first for the first time, it is looked for jobs in shards that nobody reads.
const LOOKS: u32 = 30;

/// Works until `stop`, then ends in order: reads no more, lets requests in flight finish until the deadline or
/// `hurry`, hands the rest back, settles, and leaves.
///
/// # Errors
/// Where it cannot start. Once it runs, trouble passes or is waited out, but for a loop that panics: then it ends in
/// the same order by itself.
pub async fn run(
    config: WorkerConfig,
    telemetry: &Telemetry,
    stop: CancellationToken,
    hurry: CancellationToken,
) -> Result<(), RunError> {
    let shards = ShardList::default();
    let health = Health::new(shards.clone());
    let status = match config.listen {
        Some(address) => Some(Status::start(address, health.clone(), telemetry).await?),
        None => None,
    };
    let result = work(&config, telemetry, shards, &health, stop, hurry).await;
    // To the very end it says that the worker is not ready.
    if let Some(status) = status {
        status.end().await;
    }
    result
}

async fn work(
    config: &WorkerConfig,
    telemetry: &Telemetry,
    shards: ShardList,
    health: &Health,
    stop: CancellationToken,
    hurry: CancellationToken,
) -> Result<(), RunError> {
    let slots = Slots::new(config.concurrency);
    let sender = Sender::new(&config.sender, telemetry)?;
    let consumer = Consumer { name: consumer_name(), lease: config.lease };
    let redis = tokio::select! {
        redis = Redis::connect_with(&config.redis_url, telemetry, config.spans) => redis?,
        () = stop.cancelled() => return Ok(()),
    };
    let shared =
        Shared { shards: shards.clone(), slots: slots.clone(), health: health.clone(), stop: stop.clone() };
    let mut engine_shards = Shards::new(config, redis, consumer.clone(), sender, telemetry, shared);
    if let Err(error) = engine_shards.grow().await {
        // Shards that have begun are ended in order; the reader has not.
        stop.cancel();
        engine_shards.end(Instant::now() + config.shutdown_timeout, hurry).await;
        return Err(error.into());
    }
    let fetcher = Fetcher::new(shards.clone(), slots, config.order);
    let fetcher = tokio::spawn(health.watch("fetcher", fetcher.run(stop.clone())));
    let gauges = Gauges::tell(telemetry);
    let sampler = gauges
        .map(|gauges| tokio::spawn(depth_sampler::run(shards, engine_shards.flows(), gauges, stop.clone())));
    health.started();
    let queues: Vec<String> = config.queues.iter().map(|queue| queue.name.to_string()).collect();
    info!(
        queues = queues.join(","),
        concurrency = config.concurrency,
        consumer = consumer.name,
        "worker is ready"
    );
    look(&mut engine_shards, health, &stop).await;
    // Where one of the loops has panicked, the others do not know yet.
    stop.cancel();
    health.stopping();
    info!("stopping: no new jobs, requests in flight may finish");
    let deadline = Instant::now() + config.shutdown_timeout;
    let _ = fetcher.await;
    if let Some(sampler) = sampler {
        let _ = sampler.await;
    }
    engine_shards.end(deadline, hurry).await;
    info!("stopped");
    health.died().map_or(Ok(()), |name| Err(RunError::Panicked(name)))
}

/// Looks for further shards, and tells again what must not grow old, until stopped, or until a loop has panicked.
async fn look(engine_shards: &mut Shards, health: &Health, stop: &CancellationToken) {
    for look in 0_u32.. {
        let looked = async {
            tokio::time::sleep(LOOK).await;
            if look % LOOKS == 0
                && let Err(error) = engine_shards.reopen().await
            {
                debug!(%error, "cannot look for jobs in shards that nobody reads");
            }
            if let Err(error) = engine_shards.grow().await {
                warn!(%error, "cannot look for further shards now");
            }
            engine_shards.tell_flows().await;
        };
        // In the middle of it, too: a Redis that does not answer would put off the end. What may be left over is a
        // consumer in a shard that is being started, which holds nothing and is removed as one of a dead worker.
        tokio::select! {
            () = looked => {}
            () = stop.cancelled() => break,
            () = health.dies() => break,
        }
    }
}

/// Unique among all processes: host, process, and a random number against a process id that comes again.
fn consumer_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|char| char.is_ascii_alphanumeric() || ".-_".contains(*char)).collect();
    format!("{host}-{}-{:08x}", std::process::id(), fastrand::u32(..))
}
