//! Hosts that offer HTTP/2 and then want HTTP/1.1.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::Uri;
use http::uri::Authority;

/// Hosts that are remembered. One more forgets the oldest, which costs its next request a repetition.
const HOSTS_MAX: usize = 1000;

/// The hosts so far.
#[derive(Debug, Default)]
pub(super) struct Http1Hosts {
    /// Most workers never meet one, so a request takes no lock.
    any: AtomicBool,
    hosts: Mutex<VecDeque<Authority>>,
}

impl Http1Hosts {
    pub(super) fn has(&self, uri: &Uri) -> bool {
        self.any.load(Ordering::Relaxed)
            && uri
                .authority()
                .is_some_and(|host| self.hosts.lock().unwrap_or_else(PoisonError::into_inner).contains(host))
    }

    pub(super) fn add(&self, uri: &Uri) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(host) = uri.authority().filter(|host| !hosts.contains(host)) else { return };
        if hosts.len() == HOSTS_MAX {
            hosts.pop_front();
        }
        hosts.push_back(host.clone());
        self.any.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_remembered_up_to_a_limit() {
        let hosts = Http1Hosts::default();
        let uri = |number: usize| format!("https://h:{number}/x").parse::<Uri>().unwrap();
        assert!(!hosts.has(&uri(1)));
        (1..=HOSTS_MAX + 1).for_each(|number| hosts.add(&uri(number)));
        hosts.add(&uri(HOSTS_MAX));
        assert!(!hosts.has(&uri(1)) && hosts.has(&uri(2)) && hosts.has(&uri(HOSTS_MAX + 1)));
        assert!(!hosts.has(&Uri::from_static("https://other:2/")));
    }
}
