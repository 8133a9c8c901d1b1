//! Retry policies: how many attempts, the waits between them, and the maximum age. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::statuses::Overrides;

/// How failed attempts are retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The waits between attempts.
    pub waits: RetryWaits,
    /// Attempts of a job that sets no limit itself. Default: 10; for a list, one more than it has waits.
    pub max_attempts: u32,
    /// A job that was enqueued longer ago than this is not tried again. Default: none.
    pub max_age: Option<Duration>,
    /// Exceptions from the default rules for status codes.
    pub statuses: Overrides,
    /// The longest wait that a destination can ask for. Default: 1 day.
    pub retry_after_cap: Duration,
}

/// The waits between attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryWaits {
    /// Exponential backoff with full jitter: a random time between 0 and `base * 2^(n-1)`, at most `cap`,
    /// after attempt n. Full jitter spreads jobs that failed together.
    Exponential {
        /// Default: 1 s.
        base: Duration,
        /// Default: 1 h.
        cap: Duration,
    },
    /// These waits in order; after that, the last one each time. Each wait is lengthened by up to a tenth,
    /// which spreads jobs that failed together.
    List(Vec<Duration>),
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let waits = RetryWaits::Exponential { base: Duration::from_secs(1), cap: Duration::from_secs(3600) };
        Self {
            waits,
            max_attempts: 10,
            max_age: None,
            statuses: Overrides::default(),
            retry_after_cap: Duration::from_secs(24 * 3600),
        }
    }
}

impl RetryPolicy {
    /// The wait after attempt `n`, from 1. `random` is between 0 and 1.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let random = random.clamp(0.0, 1.0);
        let failed = attempt.saturating_sub(1);
        match &self.waits {
            RetryWaits::Exponential { base, cap } => {
                base.saturating_mul(1 << failed.min(31)).min(*cap).mul_f64(random)
            }
            RetryWaits::List(list) => {
                let wait = list.get(failed as usize).or(list.last()).copied().unwrap_or_default();
                wait.mul_f64(1.0 + random / 10.0)
            }
        }
    }
}

/// The policies that jobs may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryPolicies {
    /// The policy of jobs that name none.
    pub default: RetryPolicy,
    /// The other policies.
    pub named: BTreeMap<String, RetryPolicy>,
}

impl RetryPolicies {
    /// The policy under a name; `None` if there is none.
    pub fn get(&self, name: Option<&[u8]>) -> Option<&RetryPolicy> {
        match name {
            None | Some(b"default") => Some(&self.default),
            Some(name) => self.named.get(std::str::from_utf8(name).ok()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(waits: RetryWaits) -> RetryPolicy {
        RetryPolicy { waits, ..RetryPolicy::default() }
    }

    #[test]
    fn the_longest_wait_doubles_up_to_the_cap() {
        let policy =
            policy(RetryWaits::Exponential { base: Duration::from_secs(1), cap: Duration::from_secs(60) });
        let longest: Vec<u64> = (1..=8).map(|attempt| policy.delay(attempt, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(policy.delay(u32::MAX, 1.0), Duration::from_secs(60));
        assert_eq!(policy.delay(3, 0.0), Duration::ZERO, "jitter is full");
        assert_eq!(policy.delay(3, 0.5), Duration::from_secs(2));
    }

    #[test]
    fn a_list_is_followed_and_its_last_wait_repeated() {
        let policy = policy(RetryWaits::List(vec![Duration::from_secs(5), Duration::from_secs(60)]));
        let waits: Vec<u64> = (1..=3).map(|attempt| policy.delay(attempt, 0.0).as_secs()).collect();
        assert_eq!(waits, [5, 60, 60]);
        assert_eq!(policy.delay(1, 1.0), Duration::from_millis(5500));
    }

    #[test]
    fn a_policy_is_found_by_its_name() {
        let mut policies = RetryPolicies::default();
        policies.named.insert("gentle".into(), policy(RetryWaits::List(vec![])));
        assert_eq!(policies.get(None), Some(&policies.default));
        assert_eq!(policies.get(Some(b"default")), Some(&policies.default));
        assert!(policies.get(Some(b"gentle")).is_some());
        assert_eq!(policies.get(Some(b"rough")), None);
    }
}
