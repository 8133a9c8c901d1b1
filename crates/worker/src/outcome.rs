//! From the result of an attempt to what becomes of the job. Pure.

use std::time::Duration;

use telemetry::ErrorType;

use crate::reason::Reason;
use crate::retry::RetryPolicy;

/// What becomes of a job after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is delivered.
    Done,
    /// It is tried again.
    Retry {
        /// After so long.
        after: Duration,
    },
    /// It ends among the dead letters.
    Dead {
        /// Why.
        reason: Reason,
        /// The same in one sentence, without secrets.
        error: String,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With an answer of this status code.
    Answer(u16),
    /// With none.
    Failed {
        /// What kept it from an answer.
        error: ErrorType,
        /// The same in one sentence, without secrets.
        text: String,
    },
}

impl Outcome {
    /// Judges attempt `number`, from 1, of a job of this age. `random` is between 0 and 1.
    ///
    /// 2xx is success. 408, 425, 429, 5xx and all faults on the way are tried again while attempts are left.
    /// Everything else is final, 3xx among it: redirects are not followed.
    pub fn judge(
        ending: &Ending,
        number: u32,
        max_attempts: Option<u32>,
        policy: &RetryPolicy,
        age: Duration,
        random: f64,
    ) -> Self {
        let text = match ending {
            Ending::Answer(200..=299) => return Self::Done,
            Ending::Answer(status @ (408 | 425 | 429 | 500..=599)) => {
                format!("the destination answered {status}")
            }
            Ending::Answer(status) => {
                let error = format!("the destination answered {status}, which a repetition would not change");
                return Self::Dead { reason: Reason::FinalStatus, error };
            }
            Ending::Failed { error: ErrorType::Refused, text } => {
                return Self::Dead { reason: Reason::Refused, error: text.clone() };
            }
            Ending::Failed { text, .. } => text.clone(),
        };
        let most = max_attempts.unwrap_or(policy.max_attempts);
        if number >= most {
            let error = format!("attempt {number} of {most} was the last: {text}");
            return Self::Dead { reason: Reason::Attempts, error };
        }
        let after = policy.delay(number, random);
        if let Some(max_age) = policy.max_age.filter(|max_age| age + after > *max_age) {
            let error = format!("a further attempt would come after its age of {max_age:?}: {text}");
            return Self::Dead { reason: Reason::Expired, error };
        }
        Self::Retry { after }
    }
}

impl Ending {
    /// The status code, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(status) => Some(*status),
            Self::Failed { .. } => None,
        }
    }

    /// Whether the egress policy refused to send it.
    pub fn was_refused(&self) -> bool {
        matches!(self, Self::Failed { error: ErrorType::Refused, .. })
    }

    /// `error.type`, where it was not a success.
    pub fn error(&self) -> Option<ErrorType> {
        match self {
            Self::Answer(200..=299) => None,
            Self::Answer(status) => Some(ErrorType::Status(*status)),
            Self::Failed { error, .. } => Some(error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Waits;

    fn judge(ending: Ending, number: u32) -> Outcome {
        Outcome::judge(&ending, number, None, &policy(None), Duration::from_secs(10), 1.0)
    }

    fn policy(max_age: Option<u64>) -> RetryPolicy {
        let waits = Waits::Exponential { base: Duration::from_secs(1), cap: Duration::from_secs(9) };
        RetryPolicy { waits, max_attempts: 3, max_age: max_age.map(Duration::from_secs) }
    }

    fn reason(outcome: &Outcome) -> Option<Reason> {
        match outcome {
            Outcome::Dead { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    fn failed(error: ErrorType) -> Ending {
        Ending::Failed { error, text: "no luck".to_owned() }
    }

    #[test]
    fn two_hundreds_are_done() {
        for status in [200, 201, 204, 299] {
            assert_eq!(judge(Ending::Answer(status), 3), Outcome::Done);
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for status in [408, 425, 429, 500, 503, 599] {
            assert_eq!(judge(Ending::Answer(status), 1), Outcome::Retry { after: Duration::from_secs(1) });
        }
        for error in [ErrorType::Timeout, ErrorType::Connect, ErrorType::Dns, ErrorType::Other] {
            assert_eq!(judge(failed(error), 2), Outcome::Retry { after: Duration::from_secs(2) });
        }
    }

    #[test]
    fn what_will_not_pass_is_final() {
        for status in [100, 199, 300, 301, 307, 400, 404, 410, 422, 451, 600, 999] {
            assert_eq!(reason(&judge(Ending::Answer(status), 1)), Some(Reason::FinalStatus), "{status}");
        }
        assert_eq!(reason(&judge(failed(ErrorType::Refused), 1)), Some(Reason::Refused));
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        assert_eq!(reason(&judge(Ending::Answer(503), 3)), Some(Reason::Attempts));
        let age = Duration::ZERO;
        let own = Outcome::judge(&Ending::Answer(503), 1, Some(1), &RetryPolicy::default(), age, 1.0);
        assert_eq!(reason(&own), Some(Reason::Attempts));
    }

    #[test]
    fn a_job_that_would_be_too_old_is_not_tried_again() {
        let judge = |age| {
            Outcome::judge(&Ending::Answer(503), 1, None, &policy(Some(60)), Duration::from_secs(age), 1.0)
        };
        assert_eq!(reason(&judge(58)), None);
        assert_eq!(reason(&judge(60)), Some(Reason::Expired));
    }
}
