//! The permits of lookups: a bound on their number, in two halves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Concurrent lookups of names that were answered lately, and as many of other names. On the system's resolver this is
/// half of tokio's blocking threads.
pub(super) const PERMITS_EACH: usize = 128;
/// How long a name counts as answered.
const LATELY: Duration = Duration::from_secs(300);
/// Names that are remembered.
const NAMES_MAX: usize = 10_000;

pub(super) struct LookupPermits {
    answered: Arc<Semaphore>,
    others: Arc<Semaphore>,
    names: Mutex<HashMap<String, Instant>>,
}

/// Freed when it is dropped.
pub(super) struct LookupPermit(#[expect(dead_code, reason = "it is held")] Option<OwnedSemaphorePermit>);

impl LookupPermits {
    pub(super) fn new() -> Self {
        let half = || Arc::new(Semaphore::new(PERMITS_EACH));
        Self { answered: half(), others: half(), names: Mutex::default() }
    }

    /// Waits for a permit for this name.
    pub(super) async fn take(&self, host: &str) -> LookupPermit {
        let half = if self.was_answered(host) { &self.answered } else { &self.others };
        // It is never closed.
        LookupPermit(Arc::clone(half).acquire_owned().await.ok())
    }

    /// A name server has answered for this name.
    pub(super) fn answered(&self, host: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX {
            names.retain(|_, at| at.elapsed() < LATELY);
        }
        // A worker with more names than that loses only the distinction.
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        match names.get_mut(host) {
            Some(at) => *at = Instant::now(),
            None => drop(names.insert(host.to_owned(), Instant::now())),
        }
    }

    fn was_answered(&self, host: &str) -> bool {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(host).is_some_and(|at| at.elapsed() < LATELY)
    }
}

#[cfg(test)]
impl LookupPermits {
    /// Free permits of names that were answered lately, and of others.
    pub(super) fn free(&self) -> (usize, usize) {
        (self.answered.available_permits(), self.others.available_permits())
    }
}
