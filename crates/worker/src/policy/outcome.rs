//! Decides the outcome of an attempt from its result: whether its job has succeeded, is retried, handed back or dead. Pure.

use std::time::Duration;

use postrider_queue::job::Reason;
use postrider_queue::names::{TOKEN, WORKER_FAULT};
use postrider_queue::work::{Kept, WaitReason};
use telemetry::ErrorType;

use super::retry_policy::RetryPolicy;
use super::statuses::StatusClass;

/// A job that is handed back waits like a job with this number of attempts more. The number does not grow
/// while the fault lasts, and the faulty part must not be flooded.
const HAND_BACK_BACKOFF_ATTEMPTS: u32 = 3;
/// Minimum wait of a job that is handed back.
const HAND_BACK_WAIT_MIN: Duration = Duration::from_millis(100);

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The job is delivered.
    Succeeded,
    /// The job is tried again.
    Retry {
        /// The wait before the next attempt.
        after: Duration,
        /// Whether the policy or the destination set it.
        why: WaitReason,
    },
    /// The job is handed back. The fault is not its own and uses up no attempt.
    HandedBack {
        /// The wait before the job is ready again.
        after: Duration,
        /// Whose fault it is.
        why: WaitReason,
    },
    /// The job is dead-lettered.
    Dead {
        /// Why.
        reason: Reason,
        /// `error.type` of its span.
        error_type: ErrorType,
        /// The reason in one sentence, without secrets.
        error: String,
    },
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// A response.
    Answer(Answer),
    /// No response.
    Failed {
        /// Why there is no response.
        error: ErrorType,
        /// The error in one sentence, without secrets.
        text: String,
    },
}

/// The parts of a response that the worker uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The wait that the destination asks for.
    pub retry_after: Option<Duration>,
    /// Headers and body, for a job whose result is kept.
    pub kept: Option<Box<Kept>>,
}

/// Facts about the job that the outcome depends on besides the result.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The number of the attempt, from 1.
    pub number: u32,
    /// The job's own limit of attempts, if it has one.
    pub max_attempts: Option<u32>,
    /// Time since the job was enqueued.
    pub age: Duration,
    /// Time until the job's `expires_at`, if it has one.
    pub left: Option<Duration>,
    /// A random number between 0 and 1.
    pub random: f64,
}

impl Outcome {
    /// The texts of `postrider.job.outcome`, by [`Outcome::index`].
    pub(crate) const TEXTS: [&str; 4] = ["succeeded", "retry", "handed_back", "dead"];

    /// The index of its text in [`Outcome::TEXTS`].
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Succeeded => 0,
            Self::Retry { .. } => 1,
            Self::HandedBack { .. } => 2,
            Self::Dead { .. } => 3,
        }
    }

    /// The text of `postrider.job.outcome`.
    pub(crate) fn as_str(&self) -> &'static str {
        Self::TEXTS[self.index()]
    }

    /// Judges an attempt by the rules of its policy ([`Overrides::class`]). Network faults and statuses
    /// that may pass are tried again while attempts are left. The wait is the policy's, or the one that the
    /// destination asks for up to the policy's cap, if that is longer. If the next attempt would be too late,
    /// the job is dead-lettered.
    pub fn judge(result: &SendResult, policy: &RetryPolicy, at: &Circumstances) -> Self {
        let dead = |reason, error| {
            let error_type = result.error().unwrap_or(ErrorType::Other);
            Self::Dead { reason, error_type, error }
        };
        let (text, asked) = match result {
            SendResult::Answer(answer) => {
                match policy.statuses.class(answer.status, answer.retry_after.is_some()) {
                    StatusClass::Success => return Self::Succeeded,
                    StatusClass::Passing => (result.text(), answer.retry_after),
                    StatusClass::Final => {
                        let text = result.text();
                        return dead(Reason::FinalStatus, format!("{text}, which a retry would not change"));
                    }
                }
            }
            SendResult::Failed { error: ErrorType::Refused, text } => {
                return dead(Reason::Refused, text.clone());
            }
            SendResult::Failed { error, .. } if costs_nothing(error) => {
                let after = policy.delay(at.number + HAND_BACK_BACKOFF_ATTEMPTS, at.random);
                let why = match error {
                    ErrorType::Proxy => WaitReason::Proxy,
                    error if *error == TOKEN => WaitReason::Token,
                    _ => WaitReason::WorkerFault,
                };
                return Self::HandedBack { after: after.max(HAND_BACK_WAIT_MIN), why };
            }
            SendResult::Failed { text, .. } => (text.clone(), None),
        };
        let (number, most) = (at.number, at.max_attempts.unwrap_or(policy.max_attempts));
        if number >= most {
            return dead(Reason::Attempts, format!("attempt {number} of {most} was the last: {text}"));
        }
        let pause = policy.delay(number, at.random);
        let (after, why) = match asked.map(|asked| asked.min(policy.retry_after_cap)) {
            Some(asked) if asked >= pause => (asked, WaitReason::RetryAfter),
            _ => (pause, WaitReason::Backoff),
        };
        if let Some(max_age) = policy.max_age.filter(|max_age| at.age + after > *max_age) {
            let error = format!("a further attempt would exceed the maximum age of {max_age:?}: {text}");
            return dead(Reason::Expired, error);
        }
        if at.left.is_some_and(|left| after > left) {
            let error = format!("a further attempt would come after `expires_at`: {text}");
            return dead(Reason::Expired, error);
        }
        Self::Retry { after, why }
    }
}

impl SendResult {
    /// The status code, if there was a response.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(answer) => Some(answer.status),
            Self::Failed { .. } => None,
        }
    }

    /// The result in one sentence, without secrets.
    pub fn text(&self) -> String {
        match self {
            Self::Answer(answer) => format!("the destination answered {}", answer.status),
            Self::Failed { text, .. } => text.clone(),
        }
    }

    /// The wait that the destination asks for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer(answer) => answer.retry_after,
            Self::Failed { .. } => None,
        }
    }

    /// Whether the destination was involved: not if the egress policy refused the request, nor if the proxy failed, or
    /// the worker lacked something or got no access token.
    pub fn was_attempt(&self) -> bool {
        !matches!(self, Self::Failed { error, .. } if costs_nothing(error) || *error == ErrorType::Refused)
    }

    /// `error.type`, unless the result is a success.
    pub fn error(&self) -> Option<ErrorType> {
        match self {
            Self::Answer(Answer { status: 200..=299, .. }) => None,
            Self::Answer(answer) => Some(ErrorType::Status(answer.status)),
            Self::Failed { error, .. } => Some(error.clone()),
        }
    }
}

/// Whether neither the job nor its destination is at fault.
fn costs_nothing(error: &ErrorType) -> bool {
    *error == ErrorType::Proxy || *error == WORKER_FAULT || *error == TOKEN
}

#[cfg(test)]
mod tests;
