//! The retry policy: how often, and how long between. Pure.

use std::time::Duration;

/// Exponential backoff with full jitter: a random time between nothing and `base * 2^(n-1)`, at most `cap`,
/// after attempt n. Full jitter spreads the jobs that failed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Default: 1 s.
    pub base: Duration,
    /// Default: 1 h.
    pub cap: Duration,
    /// How many attempts a job has that does not say. Default: 10.
    pub max_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(3600), max_attempts: 10 }
    }
}

impl RetryPolicy {
    /// The wait after attempt `n`, from 1. `random` is between 0 and 1.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let longest = self.base.saturating_mul(1 << doublings).min(self.cap);
        longest.mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { base: Duration::from_secs(1), cap: Duration::from_secs(60), max_attempts: 10 };

    #[test]
    fn the_longest_wait_doubles_up_to_the_cap() {
        let longest: Vec<u64> = (1..=8).map(|attempt| POLICY.delay(attempt, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(POLICY.delay(u32::MAX, 1.0), Duration::from_secs(60));
    }

    #[test]
    fn jitter_is_full() {
        assert_eq!(POLICY.delay(3, 0.0), Duration::ZERO);
        assert_eq!(POLICY.delay(3, 0.5), Duration::from_secs(2));
    }
}
