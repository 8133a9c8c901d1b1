//! Limits failed logins.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Failed logins of an address within [`WINDOW`].
const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

/// The failed logins of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Attempts {
    /// How long an address must wait before its next login; `None` if it may try now.
    pub(crate) fn wait(&self, address: IpAddr) -> Option<Duration> {
        let known = self.0.lock().expect("nothing panics while it holds this lock");
        let (since, failures) = known.get(&address)?;
        (*failures >= FAILURES_MAX).then(|| WINDOW.checked_sub(since.elapsed())).flatten()
    }

    /// Counts a failed login.
    pub(crate) fn failed(&self, address: IpAddr) {
        let mut known = self.0.lock().expect("nothing panics while it holds this lock");
        known.retain(|_, (since, _)| since.elapsed() < WINDOW);
        if known.len() < ADDRESSES_MAX || known.contains_key(&address) {
            known.entry(address).or_insert((Instant::now(), 0)).1 += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fails_too_often_waits() {
        let (attempts, one) = (Attempts::default(), IpAddr::from([127, 0, 0, 1]));
        for _ in 0..FAILURES_MAX {
            assert!(attempts.wait(one).is_none());
            attempts.failed(one);
        }
        assert!(attempts.wait(one).is_some_and(|wait| wait <= WINDOW));
        assert!(attempts.wait(IpAddr::from([127, 0, 0, 2])).is_none(), "others may try");
    }
}
