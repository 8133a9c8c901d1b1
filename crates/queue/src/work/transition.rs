//! How a delivery ends, as a value.

use std::time::Duration;

use bytes::Bytes;

use super::wait_reason::WaitReason;
use crate::job::{Fields, FlowId, Reason};
use crate::redis::Operation;
use crate::trail::CallbackJob;

/// How a delivery ends: what is written for its job. Each is one script, harmless when repeated.
#[derive(Clone, Debug)]
pub enum Transition {
    /// The job succeeded and is removed.
    Complete {
        /// When it was enqueued, Unix milliseconds.
        enqueued: u64,
        /// The result, if its producer wants it.
        result: Option<KeptResult>,
        /// Its record in the delivery log, if there is one.
        log: Option<Box<str>>,
        /// The job that reports it, if its producer wants one.
        callback: Option<Box<CallbackJob>>,
    },
    /// The job waits for a time.
    Schedule {
        /// The time from now; with [`WaitReason::Delay`], from its enqueue.
        delay: Duration,
        /// The earliest time, Unix milliseconds; 0 for none.
        not_before: u64,
        /// Why it waits. With [`WaitReason::Delay`], a job that is already due is not moved.
        why: WaitReason,
        /// The job.
        job: WaitingJob,
    },
    /// The job waits for its flow, which admits jobs in the order of their failures and age.
    Hold {
        /// The flow.
        flow: FlowId,
        /// The time until the flow's next check at the latest.
        within: Duration,
        /// Why it waits.
        why: WaitReason,
        /// Twice the number of its failures, and 1 more if jobs of its kind fail now, 0 to 1800: the flow admits
        /// others first.
        rank: u32,
        /// When it expires, Unix milliseconds.
        expires: Option<u64>,
        /// The job.
        job: WaitingJob,
    },
    /// The job ended without success.
    DeadLetter {
        /// The job id.
        job_id: Bytes,
        /// Why it is dead.
        reason: Reason,
        /// The reason in one sentence.
        error: String,
        /// Its fields, with `_reason` and `_error`.
        fields: Fields,
        /// Whether Redis kept the entry's own fields. The script adds these.
        is_partial: bool,
        /// The result, if its producer wants it.
        result: Option<KeptResult>,
        /// Its record in the delivery log, if there is one.
        log: Option<Box<str>>,
        /// The job that reports it, if its producer wants one.
        callback: Option<Box<CallbackJob>>,
    },
    /// The job was not sent, and returns to the end of the stream.
    HandBack {
        /// Why.
        why: WaitReason,
        /// All its fields.
        fields: Fields,
    },
}

/// A job to schedule or to hold.
#[derive(Clone, Debug)]
pub struct WaitingJob {
    /// The job id.
    pub job_id: Bytes,
    /// When it was enqueued, Unix milliseconds, if known.
    pub enqueued: Option<u64>,
    /// Its fields, without `_job_id` and `_enqueued_at`.
    pub fields: Fields,
}

/// A result that is kept for the producer of a job.
#[derive(Clone, Debug)]
pub struct KeptResult {
    /// The job id under which it is stored.
    pub job_id: Bytes,
    /// How long it is kept.
    pub ttl: Duration,
    /// JSON.
    pub text: String,
}

impl Transition {
    /// The job that reports the end of this one.
    pub fn callback(&self) -> Option<&CallbackJob> {
        match self {
            Self::Complete { callback, .. } | Self::DeadLetter { callback, .. } => callback.as_deref(),
            Self::Schedule { .. } | Self::Hold { .. } | Self::HandBack { .. } => None,
        }
    }

    /// The operation that spans and metrics name.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Complete { .. } => Operation::Ack,
            Self::Schedule { why: WaitReason::Delay, .. } => Operation::Delay,
            Self::Schedule {
                why: WaitReason::Proxy | WaitReason::WorkerFault | WaitReason::Token, ..
            }
            | Self::HandBack { .. } => Operation::HandBack,
            Self::Schedule { .. } => Operation::Retry,
            Self::Hold { .. } => Operation::Hold,
            Self::DeadLetter { .. } => Operation::DeadLetter,
        }
    }
}
