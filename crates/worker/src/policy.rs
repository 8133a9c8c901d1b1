//! The outcome of an attempt: which responses are retried, when, and how often; and which notices are due. Pure.

pub(crate) mod notice;
mod on_dead;
mod outcome;
mod retry_after;
mod retry_policy;
mod statuses;
mod unknown;

pub use on_dead::OnDead;
pub(crate) use on_dead::StoppingQueues;
pub use outcome::{Answer, Circumstances, Outcome, SendResult};
pub use retry_after::retry_after;
pub use retry_policy::{RetryPolicies, RetryPolicy, RetryWaits};
pub use statuses::{Overrides, StatusClass};
pub(crate) use unknown::UnknownFieldLog;
pub use unknown::UnknownFields;
