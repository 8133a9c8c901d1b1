//! Settings of a worker that are valid, and most likely not intended. Pure.

use std::time::Duration;

use postrider_console::view::exact;
use postrider_worker::WorkerConfig;
use postrider_worker::settings::{RetryPolicy, RetryWaits};

const HOUR: Duration = Duration::from_secs(3600);

/// A warning for each.
pub(super) fn warnings(config: &WorkerConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |is_absurd: bool, text: String| warnings.extend(is_absurd.then_some(text));
    let lease = config.lease;
    warn(
        lease > HOUR,
        format!("--lease {}: the jobs of a dead worker wait for that long; 30s is usual", exact(lease)),
    );
    let timeout = config.sender.timeout;
    warn(
        timeout > HOUR,
        format!("--timeout {}: a hanging request keeps its slot for that long", exact(timeout)),
    );
    let end = config.shutdown_timeout;
    warn(
        end > HOUR,
        format!(
            "--shutdown-timeout {}: most systems kill a process that takes this long to stop",
            exact(end)
        ),
    );
    let named = config.retry.named.iter().map(|(name, policy)| (name.as_str(), policy));
    for (name, policy) in [("default", &config.retry.default)].into_iter().chain(named) {
        warn(
            waits_for_nothing(policy),
            format!(
                "retry policy {name}: failed attempts follow each other without a pause; a base of 1s is usual"
            ),
        );
        if let Some((base, cap)) = inverted(policy) {
            let (base, cap) = (exact(base), exact(cap));
            warn(
                true,
                format!(
                    "retry policy {name}: base {base} is more than cap {cap}, which every wait then is at most"
                ),
            );
        }
    }
    warnings
}

/// Whether no wait of a policy is above zero.
fn waits_for_nothing(policy: &RetryPolicy) -> bool {
    policy.max_attempts > 1
        && match &policy.waits {
            RetryWaits::Exponential { base, cap } => base.is_zero() || cap.is_zero(),
            RetryWaits::List(waits) => waits.iter().all(Duration::is_zero),
        }
}

/// Base and cap of a policy whose base exceeds its cap.
fn inverted(policy: &RetryPolicy) -> Option<(Duration, Duration)> {
    match policy.waits {
        RetryWaits::Exponential { base, cap } if base > cap => Some((base, cap)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_above_the_cap_is_found() {
        let policy = |base, cap| {
            let waits =
                RetryWaits::Exponential { base: Duration::from_secs(base), cap: Duration::from_secs(cap) };
            RetryPolicy { waits, ..RetryPolicy::default() }
        };
        assert!(inverted(&policy(2, 1)).is_some());
        assert!(inverted(&policy(1, 1)).is_none() && inverted(&RetryPolicy::default()).is_none());
    }

    #[test]
    fn a_policy_without_any_pause_is_found() {
        let policy = |waits, max_attempts| RetryPolicy { waits, max_attempts, ..RetryPolicy::default() };
        let exponential = |base, cap| RetryWaits::Exponential { base, cap };
        let (zero, second) = (Duration::ZERO, Duration::from_secs(1));
        assert!(waits_for_nothing(&policy(exponential(zero, second), 2)));
        assert!(waits_for_nothing(&policy(exponential(second, zero), 2)));
        assert!(waits_for_nothing(&policy(RetryWaits::List(vec![zero]), 2)));
        assert!(!waits_for_nothing(&policy(exponential(zero, zero), 1)), "it is the only attempt");
        assert!(!waits_for_nothing(&policy(RetryWaits::List(vec![zero, second]), 3)));
        assert!(!waits_for_nothing(&RetryPolicy::default()));
    }
}
