//! A worker: its lanes, its loops, and its end.

use std::sync::Arc;
use std::time::Duration;

use telemetry::Telemetry;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::hand::Hand;
use crate::lane::Lane;
use crate::queue::{ConnectError, Consumer, Queue, QueueName};
use crate::record;
use crate::retry::RetryPolicy;
use crate::scheduler::Alarm;
use crate::sender::{RootsError, Sender, SenderConfig};
use crate::slots::{Slots, Work};
use crate::{leases, reader, reclaimer, scheduler, settler};

/// What a worker does, and how much of it.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Where the queues are.
    pub redis_url: String,
    /// Which queues to read.
    pub queues: Vec<QueueName>,
    /// How many requests are in flight at once, over all queues. Default: 64.
    pub concurrency: usize,
    /// How long a job stays with a worker that gives no sign of life. Default: 30 s.
    pub lease: Duration,
    /// How long requests in flight may go on after the signal to stop. Default: 25 s.
    pub shutdown_timeout: Duration,
    /// How requests are sent.
    pub sender: SenderConfig,
    /// How failed attempts are repeated.
    pub retry: RetryPolicy,
}

/// The worker could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Redis.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// TLS to destinations.
    #[error(transparent)]
    Roots(#[from] RootsError),
}

/// How long Redis has to take the last settlements. With the default deadline and the flush of telemetry this
/// stays within 30 s, the usual grace of those who kill.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Works until `stop`, then ends in order: reads no more, lets requests in flight finish until the deadline or
/// `hurry`, hands the rest back, settles, and leaves.
///
/// # Errors
/// Where it cannot start. Once it runs, trouble passes or is waited out.
pub async fn run(
    config: WorkerConfig,
    telemetry: &Telemetry,
    stop: CancellationToken,
    hurry: CancellationToken,
) -> Result<(), RunError> {
    let slots = Slots::new(config.concurrency);
    let sender = Sender::new(&config.sender, telemetry)?;
    let consumer = Consumer { name: consumer_name(), lease: config.lease };
    let mut lanes = Vec::with_capacity(config.queues.len());
    for name in &config.queues {
        let queue = Queue::connect(&config.redis_url, name.clone(), consumer.clone(), telemetry).await?;
        lanes.push(Running::start(queue, &config, &sender, telemetry, &slots, &stop));
    }
    let queues: Vec<String> = config.queues.iter().map(QueueName::to_string).collect();
    info!(
        queues = queues.join(","),
        concurrency = config.concurrency,
        consumer = consumer.name,
        "worker is ready"
    );
    stop.cancelled().await;
    info!("stopping: no new jobs, requests in flight may finish");
    let deadline = Instant::now() + config.shutdown_timeout;
    let mut ends = JoinSet::new();
    for lane in lanes {
        ends.spawn(lane.end(deadline, hurry.clone()));
    }
    ends.join_all().await;
    info!("stopped");
    Ok(())
}

/// One lane with its loops.
struct Running {
    lane: Arc<Lane>,
    /// Reader, reclaimer and scheduler: they end first.
    taking: JoinSet<()>,
    /// They end last.
    leases: JoinHandle<()>,
    stop_leases: CancellationToken,
    settler: JoinHandle<()>,
}

impl Running {
    fn start(
        queue: Queue,
        config: &WorkerConfig,
        sender: &Sender,
        telemetry: &Telemetry,
        slots: &Slots,
        stop: &CancellationToken,
    ) -> Self {
        // As many as may be done while one group is being settled.
        let (done, to_settle) = mpsc::channel(1024);
        let lane = Arc::new(Lane {
            queue,
            hand: Hand::default(),
            alarm: Alarm::default(),
            sender: sender.clone(),
            retry: config.retry,
            done,
            work: Work::default(),
            cut: CancellationToken::new(),
            drained: CancellationToken::new(),
            duration: Lane::duration(telemetry),
            telemetry: telemetry.clone(),
        });
        let mut taking = JoinSet::new();
        taking.spawn(reader::run(lane.clone(), slots.clone(), stop.clone()));
        taking.spawn(reclaimer::run(lane.clone(), slots.clone(), stop.clone()));
        taking.spawn(scheduler::run(lane.clone(), stop.clone()));
        let stop_leases = CancellationToken::new();
        let leases = tokio::spawn(leases::run(lane.clone(), stop_leases.clone()));
        let settler = tokio::spawn(settler::run(lane.clone(), to_settle));
        Self { lane, taking, leases, stop_leases, settler }
    }

    async fn end(self, deadline: Instant, hurry: CancellationToken) {
        let Self { lane, taking, leases, stop_leases, settler } = self;
        taking.join_all().await;
        let cut = tokio::select! {
            () = lane.work.finished() => None,
            () = tokio::time::sleep_until(deadline) => Some("the deadline is over"),
            () = hurry.cancelled() => Some("a second signal came"),
        };
        let last_words = async {
            if let Some(why) = cut {
                hand_back(&lane, why).await;
            }
            lane.work.finished().await;
            lane.drained.cancel();
            let _ = settler.await;
            stop_leases.cancel();
            let _ = leases.await;
            match lane.queue.leave().await {
                Ok(0) => {}
                Ok(jobs) => info!(jobs, "handed back jobs that had not arrived yet"),
                Err(error) => warn!(%error, "could not take leave of the queue; its jobs will be taken over"),
            }
            lane.queue.close().await;
        };
        if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
            lane.cut.cancel();
            warn!("Redis did not take the last settlements; what is missing will be sent again");
        }
    }
}

/// Ends the requests in flight and hands their jobs back: at once for any other worker, and at no cost of an
/// attempt.
async fn hand_back(lane: &Lane, why: &str) {
    let cut = lane.hand.cut();
    warn!(jobs = cut.len(), why, "requests in flight are cut and their jobs handed back");
    let all = cut.into_iter().map(|(lease, delivery)| async move {
        let fields = record::handed_back(&delivery);
        if let Err(error) = lane.queue.release(lease, &fields, &telemetry::Context::none()).await {
            warn!(entry = %lease.entry, %error, "a job could not be handed back; it will be taken over");
        }
    });
    futures_util::future::join_all(all).await;
}

/// Unique among all processes: host, process, and a random number against a process id that comes again.
fn consumer_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|char| char.is_ascii_alphanumeric() || ".-_".contains(*char)).collect();
    format!("{host}-{}-{:08x}", std::process::id(), fastrand::u32(..))
}
