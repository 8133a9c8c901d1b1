//! Makes the jobs of periodic definitions at their ticks. Every worker of the queue runs this loop on its first shard; Redis
//! lets one of them have each tick.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::cron::{DueTick, TickError, Ticked};
use postrider_queue::work::{QueueShard, is_refusal};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::observe::counters::Counts;

/// The longest time between two looks: a definition that is new, changed or resumed counts from then on.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long other workers leave a due tick to the one that has found it.
const HOLD: Duration = Duration::from_secs(5);
/// Every this number of looks, beginning with the first, also finds definitions that have lost their next tick.
const LOST_POLLS: u64 = 30;
/// The time between two looks while Redis refuses them.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// How often a definition is warned about.
const WARN_INTERVAL: Duration = Duration::from_secs(600);

/// The loop of a queue.
#[derive(Debug)]
pub(crate) struct Cron {
    queue: QueueShard,
    counts: Arc<Counts>,
    /// When a definition was warned about last.
    warned: HashMap<String, Instant>,
    is_refused: bool,
}

impl Cron {
    pub(crate) fn new(queue: QueueShard, counts: Arc<Counts>) -> Self {
        Self { queue, counts, warned: HashMap::new(), is_refused: false }
    }

    /// Runs until stopped. A call that has begun ends: one that is cut may have made a job.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        for poll in 0_u64.. {
            let pause = self.look(poll % LOST_POLLS == 0).await;
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Makes what is due. Returns when to look again.
    async fn look(&mut self, look_for_lost: bool) -> Duration {
        match self.queue.due_ticks(HOLD, look_for_lost).await {
            Ok(found) => {
                self.is_refused = false;
                for due in &found.due {
                    self.make(due, found.now).await;
                }
                let next = if found.due.is_empty() { found.next_in } else { Some(Duration::ZERO) };
                next.map_or(POLL_INTERVAL, |next| next.min(POLL_INTERVAL))
            }
            Err(error) => self.failed(&error),
        }
    }

    async fn make(&mut self, due: &DueTick, now: u64) {
        let queue = self.queue.name();
        match self.queue.make_ticks(due, now).await {
            Ok(ticked) => {
                let Ticked { made, missed, skipped } = ticked;
                self.counts.ticked([made, missed, skipped]);
                if missed > 0 {
                    info!(
                        queue,
                        cron = due.name,
                        missed,
                        "ticks of a definition make no job: nobody claimed them in time"
                    );
                } else if skipped > 0 {
                    debug!(queue, cron = due.name, skipped, "ticks make no job: the last one has not ended");
                }
            }
            Err(TickError::Redis(error)) => debug!(%error, queue, cron = due.name, "cannot tick now"),
            Err(error @ TickError::Definition(_)) => {
                let last = self.warned.get(&due.name);
                if last.is_none_or(|last| last.elapsed() >= WARN_INTERVAL) {
                    warn!(%error, queue, cron = due.name, "this definition of periodic jobs makes none");
                    self.warned.insert(due.name.clone(), Instant::now());
                }
            }
        }
    }

    fn failed(&mut self, error: &Error) -> Duration {
        let queue = self.queue.name();
        if !is_refusal(error) {
            // Other loops log that Redis fails.
            debug!(%error, queue, "cannot look for due ticks now");
            return POLL_INTERVAL;
        }
        if !std::mem::replace(&mut self.is_refused, true) {
            warn!(%error, queue, "Redis refuses to let this worker make periodic jobs");
        }
        REFUSED_PAUSE
    }
}
