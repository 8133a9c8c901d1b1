//! A job: one HTTP request to be made, and its wire format, version 1. Pure.

mod decode;
mod entry;
mod fields;
mod flow;
mod headers;
mod host;
mod limits;
mod log;
mod reason;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

pub use decode::LONGEST_RESULT;
pub use entry::{Delivery, EntryId, Fields, Lease, MOST_BYTES, Producer};
pub use fields::{Admitted, Context, FIELDS, Trail, is_label, number};
pub use flow::{FlowId, destination, flow_name, of_fields};
pub use headers::is_reserved;
pub use host::{BadHost, Host};
pub use limits::{Breaker, FlowLimits, Limits, Rate};
pub use reason::Reason;

/// One HTTP request to be made, with its policy.
#[derive(Clone, Debug)]
pub struct Job {
    /// A label for the destination and the tools; need not be unique. Default: the ticket.
    pub id: Bytes,
    /// What names this job and no other, over all its attempts.
    pub ticket: Bytes,
    /// Where to.
    pub uri: Uri,
    /// Default: POST.
    pub method: Method,
    /// The headers of the job's own.
    pub headers: HeaderMap,
    /// Sent as it is.
    pub body: Bytes,
    /// A deadline for each attempt. Default: the worker's.
    pub timeout: Option<Duration>,
    /// How many attempts the job has, 1 to 100. Default: the worker's.
    pub max_attempts: Option<u32>,
    /// The name of its retry policy. Default: `default`.
    pub retry: Option<Bytes>,
    /// The key of its flow. Default: the destination's `host:port`.
    pub flow: Option<Bytes>,
    /// The name of the secret that signs it, or shows who it is from. Default: none.
    pub secret: Option<Bytes>,
    /// When the first attempt may be made, as the producer has said.
    pub wait: Option<Wait>,
    /// Unix milliseconds from which on the job is not sent any more.
    pub expires_at: Option<u64>,
    /// How long the result is kept for whoever waits for it. Default: not at all.
    pub result_ttl: Option<Duration>,
    /// The producer's W3C context, as it came.
    pub context: Context,
    /// What the job has been through.
    pub trail: Trail,
}

/// When a job's first attempt may be made; of the two the later counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Counted from the time the job was enqueued.
    pub delay: Duration,
    /// Unix milliseconds.
    pub not_before: u64,
}

impl Job {
    /// For what the job must wait; `None` where it may be sent now, or has waited already.
    pub fn must_wait(&self) -> Option<Wait> {
        // Who carries `_at` has been through this.
        self.wait.filter(|_| self.trail.at.is_none())
    }

    /// When the first attempt could be made of a job that was enqueued then; Unix milliseconds.
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
    /// What is wrong, in which field, and what would be right.
    pub error: String,
}

impl Malformed {
    /// An entry that is malformed, and why.
    pub fn new(error: impl Into<String>) -> Self {
        Self { reason: Reason::Malformed, error: error.into() }
    }
}

/// A part of a job in an error: in quotes, on one line, and no longer than it takes to recognize it.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
