//! A lane: one queue with all that a worker does for it. What the loops of a lane share stands here.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use postrider_queue::job::Lease;
use postrider_queue::work::{Queue, Settled};
use telemetry::{Context, Telemetry};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::alarm::Alarm;
use super::hand::Hand;
use super::slots::Work;
use crate::flows::{Flows, Held};
use crate::http::secrets::Secrets;
use crate::http::sender::Sender;
use crate::observe::counts::Counts;
use crate::observe::retries::Retries;
use crate::policy::RetryPolicies;

/// What the loops of one queue share.
#[derive(Debug)]
pub struct Lane {
    /// One shard of a queue.
    pub queue: Queue,
    /// How often it is read in proportion to others.
    pub weight: u32,
    /// What is being worked on.
    pub hand: Hand,
    /// To when the scheduler sleeps.
    pub alarm: Alarm,
    /// What sends requests.
    pub sender: Sender,
    /// How many attempts of each flow may be made.
    pub flows: Flows,
    /// Which flows hold jobs of this lane back.
    pub held: Arc<Held>,
    /// What requests are signed with.
    pub secrets: Arc<Secrets>,
    /// How failed attempts are repeated.
    pub retry: Arc<RetryPolicies>,
    /// Where jobs that are done go to be settled.
    pub done: mpsc::Sender<Done>,
    /// The tasks that work on jobs.
    pub work: Work,
    /// Whether a task has panicked: then a job that comes back to this worker may be the cause.
    pub panicked: AtomicBool,
    /// Set when no further job will be done.
    pub drained: CancellationToken,
    /// Set when the worker's time to shut down is over.
    pub cut: CancellationToken,
    /// Records.
    pub telemetry: Telemetry,
    /// What is counted and measured.
    pub counts: Counts,
    /// How the traces of further attempts belong to what was before.
    pub retries: Retries,
}

/// A job that is done and not settled yet.
#[derive(Debug)]
pub struct Done {
    /// The right to settle it.
    pub lease: Lease,
    /// Its process span.
    pub context: Context,
    /// When it was enqueued, Unix milliseconds.
    pub enqueued: u64,
}

impl Lane {
    /// Jobs that were enqueued before this time are too old by one of the policies; Unix milliseconds, 0 for none.
    pub fn oldest(&self) -> u64 {
        let shortest = self.retry.shortest_age();
        shortest.map_or(0, |age| self.queue.clock().now().saturating_sub(age.as_millis() as u64))
    }

    /// A job that was enqueued then is delivered and settled.
    pub fn delivered(&self, enqueued: u64, now: u64) {
        self.counts.delivered(Duration::from_millis(now.saturating_sub(enqueued)));
    }

    /// Settlements were answered: the jobs are put down. What came too late is told, once for all of them.
    /// Answers whether there was none of that.
    pub fn settled(&self, answers: impl IntoIterator<Item = (Lease, Settled)>) -> bool {
        let (mut all, mut refused) = (true, vec![]);
        for (lease, settled) in answers {
            let was_held = self.hand.put_down(lease);
            if settled != Settled::Done {
                all = false;
                // What is not in hand any more was told when its lease was lost.
                if was_held {
                    self.counts.settlement_refused();
                    refused.push(lease.entry);
                }
            }
        }
        if let Some(first) = refused.first() {
            let jobs = refused.len();
            warn!(jobs, %first, "settlement refused: the lease was lost, and the jobs are another worker's, or gone");
        }
        all
    }
}
