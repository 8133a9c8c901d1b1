//! What all requests share.

mod looks;
mod operations;
mod seen;
mod tail_hub;

use std::time::Duration;

use postrider_queue::admin::{Inspector, Queues, ShardName};
use postrider_queue::{ConnectError, QueueName, Redis};
use telemetry::Telemetry;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use looks::Counted;
pub(crate) use operations::{Operation, Operations, Progress};
use seen::Seen;
pub(crate) use tail_hub::{Hub, Listener};

use crate::problem::Problem;
use crate::view::FlowView;

/// Bytes of bodies that are in memory at once, in KiB.
const BODIES_KIB_MAX: u32 = 128 * 1024;
/// Requests that wait for the outcome of their job at once.
const WAITING_MAX: usize = 256;
/// How long a body may wait for its place.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long changes may take to end after the last request.
const CHANGES_TIMEOUT: Duration = Duration::from_secs(5);

/// The connections to Redis, and the places that requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) redis: Redis,
    pub(crate) inspector: Inspector,
    /// The limit of a job's fields.
    pub(crate) max_job_bytes: usize,
    /// The address of a trace, with `{trace_id}` in place of its id.
    pub(crate) trace_url: Option<String>,
    pub(crate) operations: Operations,
    /// Work that no request waits for.
    tasks: TaskTracker,
    pub(crate) hub: Hub,
    /// Ends that work.
    pub(crate) stop: CancellationToken,
    queues: Seen<Queues>,
    flows: Seen<Vec<FlowView>>,
    groups: Seen<Counted>,
    bodies: Semaphore,
    waiting: Semaphore,
}

impl Shared {
    pub(crate) async fn connect(
        url: &str,
        max_job_bytes: usize,
        trace_url: Option<String>,
        telemetry: &Telemetry,
    ) -> Result<Self, ConnectError> {
        Ok(Self {
            trace_url,
            operations: Operations::default(),
            tasks: TaskTracker::new(),
            hub: Hub::new(),
            stop: CancellationToken::new(),
            queues: Seen::default(),
            flows: Seen::default(),
            groups: Seen::default(),
            redis: Redis::connect(url, telemetry).await?,
            inspector: Inspector::connect(url, telemetry).await?,
            max_job_bytes,
            bodies: Semaphore::new(BODIES_KIB_MAX as usize),
            waiting: Semaphore::new(WAITING_MAX),
        })
    }

    /// Makes a change to its end, also if the client leaves in the middle: what was done by then must be recorded.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        change: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.tasks.spawn(change).await {
            Ok(made) => made,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(CHANGES_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("changes that have not ended are cut");
        }
        self.redis.close().await;
        self.inspector.close().await;
    }

    /// Runs work that no request waits for. The console waits for its end.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// A place for a body of this size, until it is dropped.
    pub(crate) async fn body_place(&self, bytes: u64) -> Result<SemaphorePermit<'_>, Problem> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(BODIES_KIB_MAX);
        // Nearly always there is one, and needs no clock.
        if let Ok(place) = self.bodies.try_acquire_many(kib) {
            return Ok(place);
        }
        let place = tokio::time::timeout(PLACE_TIMEOUT, self.bodies.acquire_many(kib)).await;
        place.ok().and_then(Result::ok).ok_or_else(|| {
            Problem::unavailable("too many large requests are being received; try again later")
        })
    }

    /// A place for a request that waits for an outcome.
    pub(crate) fn waiting_place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.waiting.try_acquire().map_err(|_| {
            Problem::unavailable("too many requests wait for outcomes; send this one without `wait`")
        })
    }

    /// All queues that are found.
    pub(crate) async fn all_queues(&self) -> Result<Vec<QueueName>, Problem> {
        let shards = self.inspector.queues().await?.shards;
        Ok(shards.into_iter().filter(|shard| shard.number == 0).map(|shard| shard.queue).collect())
    }

    /// The shards of a queue, or of all queues that are found.
    pub(crate) async fn shards(&self, queue: Option<&str>) -> Result<Vec<ShardName>, Problem> {
        let Some(queue) = queue else { return Ok(self.inspector.queues().await?.shards) };
        let name = queue_name(queue)?;
        if !self.inspector.exists(&name).await? {
            return Err(Problem::not_found(format!(
                "there is no queue {name}: no job has been enqueued there"
            )));
        }
        Ok(self.inspector.shards(&name).await?)
    }
}

/// Reads the name of a queue.
pub(crate) fn queue_name(text: &str) -> Result<QueueName, Problem> {
    text.parse()
        .map_err(|error: postrider_queue::BadQueueName| Problem::parameter("queue", error.to_string()))
}
