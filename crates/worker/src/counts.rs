//! What a worker counts of its queue.

use telemetry::{Counter, Telemetry, semconv};

use crate::reason::Reason;

/// The counters of one lane.
#[derive(Clone, Debug)]
pub struct Counts {
    queue: &'static str,
    leases_lost: Counter,
    settlements_refused: Counter,
    reclaimed: Counter,
    dead: Counter,
}

impl Counts {
    /// Counters for a queue.
    pub fn new(telemetry: &Telemetry, queue: &'static str) -> Self {
        Self {
            queue,
            leases_lost: telemetry.counter(
                "postrider.job.leases_lost",
                "{job}",
                "Jobs whose lease was lost while they were worked on",
            ),
            settlements_refused: telemetry.counter(
                "postrider.job.settlements_refused",
                "{job}",
                "Settlements that were refused because another worker has the job",
            ),
            reclaimed: telemetry.counter(
                "postrider.job.reclaimed",
                "{job}",
                "Jobs taken over from workers that gave no sign of life",
            ),
            dead: telemetry.counter("postrider.job.dead", "{job}", "Jobs that went to the dead letters"),
        }
    }

    /// The lease of a job that was being worked on is lost.
    pub fn lease_lost(&self) {
        self.add(&self.leases_lost, 1);
    }

    /// A settlement came too late.
    pub fn settlement_refused(&self) {
        self.add(&self.settlements_refused, 1);
    }

    /// Jobs were taken over.
    pub fn reclaimed(&self, jobs: usize) {
        self.add(&self.reclaimed, jobs as u64);
    }

    /// A job went to the dead letters.
    pub fn dead(&self, reason: Reason) {
        self.dead.add(1, |attributes| {
            attributes.set(semconv::MESSAGING_DESTINATION_NAME, self.queue);
            attributes.set(semconv::POSTRIDER_JOB_DEAD_REASON, reason.as_str());
        });
    }

    fn add(&self, counter: &Counter, jobs: u64) {
        counter.add(jobs, |attributes| attributes.set(semconv::MESSAGING_DESTINATION_NAME, self.queue));
    }
}
