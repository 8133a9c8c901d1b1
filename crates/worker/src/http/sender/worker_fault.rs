//! Logs when the worker begins to lack something that attempts need, and when it lacks it no more. Both happen once,
//! although other attempts succeed in between.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::{info, warn};

/// How long no attempt may have failed for it, before it counts as over.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct WorkerFault {
    origin: Instant,
    /// The last failed attempt, in milliseconds since `origin`; 0 if there is no fault.
    last: AtomicU64,
}

impl WorkerFault {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(super) fn failed(&self, error: &str) {
        let before = self.last.swap(self.now().max(1), Ordering::Relaxed);
        if before == 0 {
            warn!(error, "this worker lacks what attempts need: jobs wait, without using up an attempt");
        }
    }

    /// An attempt did not fail in this way.
    pub(super) fn passed(&self) {
        let last = self.last.load(Ordering::Relaxed);
        if last > 0 && self.now().saturating_sub(last) > QUIET.as_millis() as u64 {
            self.last.store(0, Ordering::Relaxed);
            info!("attempts have what they need again");
        }
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }
}
