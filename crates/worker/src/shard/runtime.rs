//! One shard of a queue in a worker, with the state that its loops share.

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
use super::in_flight::InFlight;
use super::slots::Work;
use crate::flows::{Flows, Held};
use crate::http::secrets::Secrets;
use crate::http::sender::Sender;
use crate::observe::counters::Counts;
use crate::observe::retries::Retries;
use crate::policy::RetryPolicies;

/// The state that the loops of one shard share.
#[derive(Debug)]
pub(crate) struct ShardRuntime {
    /// One shard of a queue.
    pub queue: Queue,
    /// How often jobs are fetched from it, relative to other shards.
    pub weight: u32,
    /// The jobs in flight.
    pub in_flight: InFlight,
    /// When the scheduler wakes next.
    pub alarm: Alarm,
    /// Sends requests.
    pub sender: Sender,
    /// Limits on the attempts of each flow.
    pub flows: Flows,
    /// The flows that hold jobs of this shard.
    pub held: Arc<Held>,
    /// Secrets that sign and authenticate requests.
    pub secrets: Arc<Secrets>,
    /// How failed attempts are retried.
    pub retry: Arc<RetryPolicies>,
    /// Sends successful jobs to the completer.
    pub done: mpsc::Sender<Done>,
    /// The tasks that work on jobs.
    pub work: Work,
    /// Whether a task has panicked. If so, a job that returns to this worker may be the cause.
    pub panicked: AtomicBool,
    /// Cancelled when no further job will end.
    pub drained: CancellationToken,
    /// Cancelled when the worker's time to shut down is over.
    pub cut: CancellationToken,
    /// Records spans and metrics.
    pub telemetry: Telemetry,
    /// Counters and histograms.
    pub counts: Counts,
    /// How traces of further attempts are connected to the earlier ones.
    pub retries: Retries,
}

/// A successful job that is not settled yet.
#[derive(Debug)]
pub(crate) struct Done {
    /// The right to settle it.
    pub lease: Lease,
    /// Its process span.
    pub context: Context,
    /// When it was enqueued, Unix milliseconds.
    pub enqueued: u64,
}

impl ShardRuntime {
    /// Jobs that were enqueued before this time are too old by some policy. Unix milliseconds, 0 for none.
    pub(crate) fn oldest(&self) -> u64 {
        let shortest = self.retry.shortest_age();
        shortest.map_or(0, |age| self.queue.clock().now().saturating_sub(age.as_millis() as u64))
    }

    /// Counts a job that is delivered and settled. Both times are Unix milliseconds.
    pub(crate) fn delivered(&self, enqueued: u64, now: u64) {
        self.counts.delivered(Duration::from_millis(now.saturating_sub(enqueued)));
    }

    /// Removes jobs after Redis has replied to their settlements. Logs once for all settlements that were too
    /// late. Returns whether there were none.
    pub(crate) fn settled(&self, answers: impl IntoIterator<Item = (Lease, Settled)>) -> bool {
        let (mut all, mut refused) = (true, vec![]);
        for (lease, settled) in answers {
            let was_held = self.in_flight.put_down(lease);
            if settled != Settled::Done {
                all = false;
                // A job that is not in flight any more was reported when its lease was lost.
                if was_held {
                    self.counts.settlement_refused();
                    refused.push(lease.entry);
                }
            }
        }
        if let Some(first) = refused.first() {
            let jobs = refused.len();
            warn!(jobs, %first, "settlement refused: the lease was lost; another worker has the jobs, or they are gone");
        }
        all
    }
}
