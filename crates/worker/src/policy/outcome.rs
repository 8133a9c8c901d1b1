//! From the result of an attempt to what becomes of the job. Pure.

use std::time::Duration;

use postrider_queue::job::Reason;
use postrider_queue::work::Kept;
use telemetry::ErrorType;

use super::retry::RetryPolicy;
use super::statuses::Meaning;

/// A job that is handed back waits like one with so many attempts more: nothing grows while a fault lasts, and
/// what is at fault is not to be flooded.
const RELEASED_AS: u32 = 3;
/// It waits at least so long.
const LEAST_RELEASE: Duration = Duration::from_millis(100);

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
    /// It is handed back, for a fault that is not its own and costs it no attempt.
    Release {
        /// To be taken up after so long.
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
    /// With an answer.
    Answer(Answer),
    /// With none.
    Failed {
        /// What kept it from an answer.
        error: ErrorType,
        /// The same in one sentence, without secrets.
        text: String,
    },
}

/// An answer, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// For how long the destination asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The rest of it, for a job whose result is kept.
    pub kept: Option<Box<Kept>>,
}

/// What an ending is judged by besides.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Which attempt it was, from 1.
    pub number: u32,
    /// How many the job says it has.
    pub max_attempts: Option<u32>,
    /// How long ago the job was enqueued.
    pub age: Duration,
    /// How long it may still be sent, by its `expires_at`.
    pub left: Option<Duration>,
    /// Between 0 and 1.
    pub random: f64,
}

impl Outcome {
    /// Judges an attempt by the rules of its policy ([`Overrides::meaning`]). All faults on the way are tried again
    /// while attempts are left, and so is an answer that may pass: after the policy's wait, or what the destination
    /// asks for up to the policy's cap, whichever is longer. What would come too late is not waited for.
    pub fn judge(ending: &Ending, policy: &RetryPolicy, at: &Circumstances) -> Self {
        let (text, asked) = match ending {
            Ending::Answer(answer) => {
                let text = format!("the destination answered {}", answer.status);
                match policy.statuses.meaning(answer.status) {
                    Meaning::Success => return Self::Done,
                    Meaning::Passing => (text, answer.retry_after.unwrap_or_default()),
                    Meaning::Final => {
                        let error = format!("{text}, which a repetition would not change");
                        return Self::Dead { reason: Reason::FinalStatus, error };
                    }
                }
            }
            Ending::Failed { error: ErrorType::Refused, text } => {
                return Self::Dead { reason: Reason::Refused, error: text.clone() };
            }
            Ending::Failed { error: ErrorType::Proxy, .. } => {
                let after = policy.delay(at.number + RELEASED_AS, at.random);
                return Self::Release { after: after.max(LEAST_RELEASE) };
            }
            Ending::Failed { text, .. } => (text.clone(), Duration::ZERO),
        };
        let (number, most) = (at.number, at.max_attempts.unwrap_or(policy.max_attempts));
        if number >= most {
            let error = format!("attempt {number} of {most} was the last: {text}");
            return Self::Dead { reason: Reason::Attempts, error };
        }
        let after = policy.delay(number, at.random).max(asked.min(policy.retry_after_cap));
        if let Some(max_age) = policy.max_age.filter(|max_age| at.age + after > *max_age) {
            let error = format!("a further attempt would come after its age of {max_age:?}: {text}");
            return Self::Dead { reason: Reason::Expired, error };
        }
        if at.left.is_some_and(|left| after > left) {
            let error = format!("a further attempt would come after its time: {text}");
            return Self::Dead { reason: Reason::Expired, error };
        }
        Self::Retry { after }
    }
}

impl Ending {
    /// The status code, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(answer) => Some(answer.status),
            Self::Failed { .. } => None,
        }
    }

    /// Whether the destination had a part in it: not where the egress policy refused to send the job, nor where
    /// the proxy failed.
    pub fn was_attempt(&self) -> bool {
        !matches!(self, Self::Failed { error: ErrorType::Refused | ErrorType::Proxy, .. })
    }

    /// `error.type`, where it was not a success.
    pub fn error(&self) -> Option<ErrorType> {
        match self {
            Self::Answer(Answer { status: 200..=299, .. }) => None,
            Self::Answer(answer) => Some(ErrorType::Status(answer.status)),
            Self::Failed { error, .. } => Some(error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Waits;

    const AT: Circumstances = Circumstances {
        number: 1,
        max_attempts: None,
        age: Duration::from_secs(10),
        left: None,
        random: 1.0,
    };

    fn policy() -> RetryPolicy {
        let waits = Waits::Exponential { base: Duration::from_secs(1), cap: Duration::from_secs(9) };
        RetryPolicy { waits, max_attempts: 3, ..RetryPolicy::default() }
    }

    fn answer(status: u16) -> Ending {
        Ending::Answer(Answer { status, ..Answer::default() })
    }

    fn judge(ending: Ending, number: u32) -> Outcome {
        Outcome::judge(&ending, &policy(), &Circumstances { number, ..AT })
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

    fn after(seconds: u64) -> Outcome {
        Outcome::Retry { after: Duration::from_secs(seconds) }
    }

    #[test]
    fn an_answer_is_judged_by_its_status() {
        assert_eq!(judge(answer(204), 3), Outcome::Done);
        assert_eq!(judge(answer(503), 1), after(1));
        for status in [100, 301, 404, 410, 999] {
            assert_eq!(reason(&judge(answer(status), 1)), Some(Reason::FinalStatus), "{status}");
        }
    }

    #[test]
    fn faults_on_the_way_are_tried_again() {
        for error in [ErrorType::Timeout, ErrorType::Connect, ErrorType::Dns, ErrorType::Other] {
            assert_eq!(judge(failed(error), 2), after(2));
        }
    }

    #[test]
    fn a_fault_of_the_proxy_is_not_the_jobs() {
        let outcome = judge(failed(ErrorType::Proxy), 3);
        assert_eq!(
            outcome,
            Outcome::Release { after: Duration::from_secs(9) },
            "also after the last attempt"
        );
        assert!(!failed(ErrorType::Proxy).was_attempt());
    }

    #[test]
    fn what_is_refused_is_final() {
        assert_eq!(reason(&judge(failed(ErrorType::Refused), 1)), Some(Reason::Refused));
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        assert_eq!(reason(&judge(answer(503), 3)), Some(Reason::Attempts));
        let own = Circumstances { max_attempts: Some(1), ..AT };
        assert_eq!(reason(&Outcome::judge(&answer(503), &policy(), &own)), Some(Reason::Attempts));
    }

    #[test]
    fn what_the_destination_asks_for_is_waited_for_up_to_a_cap() {
        let policy = RetryPolicy { retry_after_cap: Duration::from_secs(100), ..policy() };
        let asks = |seconds, at: Circumstances| {
            let retry_after = Some(Duration::from_secs(seconds));
            Outcome::judge(&Ending::Answer(Answer { status: 429, retry_after, kept: None }), &policy, &at)
        };
        assert_eq!(asks(0, AT), after(1), "never sooner than the policy says");
        assert_eq!(asks(60, AT), after(60));
        assert_eq!(asks(u64::MAX, AT), after(100));
        let left = Some(Duration::from_secs(59));
        assert_eq!(reason(&asks(60, Circumstances { left, ..AT })), Some(Reason::Expired));
    }

    #[test]
    fn a_job_that_would_be_too_old_is_not_tried_again() {
        let policy = RetryPolicy { max_age: Some(Duration::from_secs(60)), ..policy() };
        let judge = |age| {
            let age = Duration::from_secs(age);
            Outcome::judge(&answer(503), &policy, &Circumstances { age, ..AT })
        };
        assert_eq!(reason(&judge(58)), None);
        assert_eq!(reason(&judge(60)), Some(Reason::Expired));
    }
}
