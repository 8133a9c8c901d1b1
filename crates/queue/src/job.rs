//! A job: one HTTP request to be made, and its wire format, version 1. Pure.

mod callbacks;
mod decode;
mod entry;
mod fields;
mod flow;
mod headers;
mod host;
mod limits;
mod line;
mod log;
mod numbers;
mod reason;
mod spelling;
mod statuses;
mod url;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

pub use callbacks::Callbacks;
pub use entry::{Delivery, ENTRY_BYTES_MAX, EntryId, Fields, Lease, Producer};
pub use fields::{Admitted, FIELDS, ProducerContext, Trail, is_job_id, number};
pub use flow::{FlowId, destination, flow_name, flows_meant, of_fields, port_of};
pub use headers::is_reserved;
pub use host::{BadHost, Host};
pub use limits::{Breaker, FlowLimits, Limits, Rate};
pub use line::{LineId, LinePlace, ORDER_BYTES_MAX};
pub use numbers::RESULT_TTL_MILLIS_MAX;
pub use reason::Reason;
pub use spelling::{meant, meant_field};
pub use statuses::{BadStatuses, Statuses};
pub use url::Destination;

pub(crate) use fields::is_label;

/// One HTTP request to be made, with its policy.
#[derive(Clone, Debug)]
pub struct Job {
    /// A label for the destination and the tools; need not be unique. Default: the job id.
    pub label: Bytes,
    /// The job id: unique, and the same on every attempt.
    pub id: Bytes,
    /// The destination.
    pub uri: Uri,
    /// Default: POST.
    pub method: Method,
    /// The job's own headers.
    pub headers: HeaderMap,
    /// Sent unchanged.
    pub body: Bytes,
    /// A deadline for each attempt. Default: the worker's.
    pub timeout: Option<Duration>,
    /// How many attempts the job has, 1 to 100. Default: the worker's.
    pub max_attempts: Option<u32>,
    /// The name of its retry policy. Default: `default`.
    pub retry: Option<Bytes>,
    /// The key of its flow. Default: the destination's `host:port`.
    pub flow: Option<Bytes>,
    /// Its order key: jobs of one key are attempted one after the other, in the order in which they were enqueued.
    /// Default: none.
    pub order: Option<Bytes>,
    /// The name of the secret that signs or authenticates its requests. Default: none.
    pub secret: Option<Bytes>,
    /// The producer's delay of the first attempt.
    pub wait: Option<ProducerDelay>,
    /// The job is not sent after this time, Unix milliseconds.
    pub expires_at: Option<u64>,
    /// How long the result is kept. Default: not at all.
    pub result_ttl: Option<Duration>,
    /// What to call when the job has ended. Default: nothing.
    pub callbacks: Option<Box<Callbacks>>,
    /// The producer's W3C context, unchanged.
    pub context: ProducerContext,
    /// The names of the first few fields that are not known and have no effect.
    pub unknown: Vec<Bytes>,
    /// The worker's own fields.
    pub trail: Trail,
}

/// The delay that a producer set: the first attempt is made at the later of two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDelay {
    /// The delay after the enqueue.
    pub delay: Duration,
    /// The earliest time, Unix milliseconds.
    pub not_before: u64,
}

impl Job {
    /// Checks the fields of a job that is not enqueued yet, as a worker with this limit of their size will.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn check(fields: &Fields, bytes_max: usize) -> Result<(), Malformed> {
        let lease = Lease { entry: EntryId { millis: 0, sequence: 0 }, delivery: 1, epoch: 0 };
        Self::decode(&Delivery { bytes_max, ..Delivery::new(lease, fields.clone()) }).map(drop)
    }

    /// The wait that the job may still need; `None` if it has none, or has waited already.
    pub fn must_wait(&self) -> Option<ProducerDelay> {
        self.wait.filter(|_| !self.trail.has_waited)
    }

    /// When the first attempt is due for a job that was enqueued at `enqueued`; both in Unix milliseconds.
    pub fn first_due(&self, enqueued: u64) -> u64 {
        self.wait.map_or(enqueued, |wait| {
            enqueued.saturating_add(wait.delay.as_millis() as u64).max(wait.not_before)
        })
    }
}

/// Why an entry is not a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Malformed {
    /// [`Reason::Malformed`] or [`Reason::Version`].
    pub reason: Reason,
    /// What is wrong, in which field, and what to write instead.
    pub error: String,
}

impl Malformed {
    /// A malformed entry, and why it is malformed.
    pub fn new(error: impl Into<String>) -> Self {
        Self { reason: Reason::Malformed, error: error.into() }
    }
}

/// Quotes a part of a job for an error: on one line, cut after 64 characters.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(fields: &[(&'static str, &'static str)]) -> Job {
        let entry = EntryId { millis: 1_795_396_101_000, sequence: 3 };
        let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Job::decode(&Delivery::new(Lease { entry, delivery: 1, epoch: 0 }, fields)).expect("a job")
    }

    /// A worker may end between fetching and scheduling: the job then has the time of its enqueue, and has not
    /// waited.
    #[test]
    fn a_job_has_waited_only_if_it_is_marked_so() {
        let url = ("url", "http://h/x");
        for delay in [("delay_ms", "100"), ("not_before", "1795396101000")] {
            let at = ("_enqueued_at", "1795396101000");
            assert!(decode(&[url, delay]).must_wait().is_some());
            assert!(decode(&[url, delay, at]).must_wait().is_some(), "it was handed back");
            assert_eq!(decode(&[url, delay, at, ("_waited", "1")]).must_wait(), None);
        }
        assert_eq!(decode(&[url]).must_wait(), None);
    }
}
