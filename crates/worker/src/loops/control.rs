//! Reads the pauses and the other settings of operators for all workers: once a second, in one call for the process.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::work::{Clock, Control, is_refusal};
use postrider_queue::{Error, QueueName, Redis};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::shard::control::CurrentControl;

/// The time between two reads.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// How long a worker that starts waits for the first read. In a cluster, the node that has the key may be away.
const FIRST_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two tries of the first read.
const FIRST_READ_PAUSE: Duration = Duration::from_millis(100);

/// Reads, and publishes what applies.
#[derive(Debug)]
pub(crate) struct ControlReader {
    redis: Redis,
    /// Redis' clock decides when a pause ends, also while Redis does not answer.
    clock: Clock,
    /// The queues of this worker, for the log.
    queues: Vec<QueueName>,
    published: watch::Sender<Arc<Control>>,
    /// Whether Redis refuses the call; logged once.
    is_refused: bool,
}

impl ControlReader {
    /// A reader, and what it publishes. Nothing is paused until the first read.
    pub(crate) fn new(redis: Redis, queues: Vec<QueueName>) -> (Self, CurrentControl) {
        let (published, current) = watch::channel(Arc::default());
        let clock = Clock::new(0, READ_INTERVAL);
        (Self { redis, clock, queues, published, is_refused: false }, CurrentControl::new(current))
    }

    /// Reads for the first time, before any job is fetched. If Redis does not answer in time, the worker starts as if
    /// nothing were paused: it must not depend on a node of a cluster that none of its queues needs.
    pub(crate) async fn read_first(&mut self) {
        let deadline = Instant::now() + FIRST_READ_TIMEOUT;
        let read = async {
            while !self.read().await && !self.is_refused {
                sleep(FIRST_READ_PAUSE).await;
            }
        };
        if tokio::time::timeout_at(deadline, read).await.is_err() {
            warn!(
                "cannot read what is paused: this worker starts as if nothing were, and tries again each second"
            );
        }
    }

    /// Reads until stopped. What was read last applies until Redis answers, or until it ends.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let end = self.published.borrow().next_end();
            let left = end.map(|end| Duration::from_millis(end.saturating_sub(self.clock.now())));
            let pause = left.map_or(READ_INTERVAL, |left| left.min(READ_INTERVAL));
            let read = async {
                sleep(pause).await;
                self.read().await
            };
            tokio::select! {
                has_answered = read => if !has_answered {
                    let control = self.published.borrow().at(self.clock.now());
                    self.publish(control);
                },
                () = stop.cancelled() => return,
            }
        }
    }

    /// Reads once. Returns whether Redis has answered.
    async fn read(&mut self) -> bool {
        match self.redis.control(&self.clock).await {
            Ok(control) => {
                self.is_refused = false;
                self.publish(control);
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn failed(&mut self, error: &Error) {
        if !is_refusal(error) {
            // Other loops log that Redis fails.
            debug!(%error, "cannot read what is paused now");
        } else if !std::mem::replace(&mut self.is_refused, true) {
            warn!(%error, "Redis refuses to return what is paused: what was known until now stays");
        }
    }

    /// Publishes what applies, and logs what has changed.
    fn publish(&self, control: Control) {
        let before = self.published.borrow().clone();
        if *before == control {
            return;
        }
        let control = Arc::new(control);
        self.published.send_replace(control.clone());
        for queue in self.queues.iter().map(QueueName::as_str) {
            match (before.pauses_queue(queue), control.pauses_queue(queue)) {
                (false, true) => info!(queue, "the queue is paused: its jobs wait"),
                (true, false) => info!(queue, "the queue is no longer paused"),
                _ => {}
            }
        }
        let flows = control.paused_flows();
        if flows != before.paused_flows() {
            info!(flows, "the number of paused flows has changed: their jobs are held");
        }
    }
}
