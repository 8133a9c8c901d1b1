//! The delivery log of a shard: what it keeps, and whether Redis takes it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fred::types::{Key, Value};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::args::number;
use super::keys::Keys;

/// How much a shard's delivery log keeps. The oldest records are deleted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBounds {
    /// How long a record is kept, milliseconds.
    pub age_ms: u64,
    /// How many jobs. Default: 1,000,000.
    pub jobs: u64,
    /// How many bytes of records. Default: 256 MiB.
    pub bytes: u64,
}

/// No log.
impl Default for LogBounds {
    fn default() -> Self {
        Self::for_age(Duration::ZERO)
    }
}

impl LogBounds {
    /// The default bounds for records that are kept for this time.
    #[must_use]
    pub fn for_age(age: Duration) -> Self {
        Self { age_ms: age.as_millis() as u64, jobs: 1_000_000, bytes: 256 << 20 }
    }

    /// Adds the keys of the log, and the bounds.
    pub(crate) fn push(&self, own: &Keys, keys: &mut Vec<Key>, args: &mut Vec<Value>) {
        keys.extend([own.log.clone(), own.sizes.clone()]);
        args.extend([number(self.age_ms), number(self.jobs), number(self.bytes)]);
    }
}

/// The delivery log that a worker writes.
#[derive(Debug)]
pub(crate) struct DeliveryLog {
    pub(crate) bounds: LogBounds,
    /// When the last refusal was logged.
    refused: Mutex<Option<Instant>>,
}

impl DeliveryLog {
    pub(crate) fn new(bounds: LogBounds) -> Self {
        Self { bounds, refused: Mutex::default() }
    }

    /// Redis has refused records. Jobs are settled without them, so it is logged, once a minute.
    pub(crate) fn refused(&self, shard: &str, error: &str) {
        const INTERVAL: Duration = Duration::from_secs(60);
        let mut last = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= INTERVAL) {
            *last = Some(Instant::now());
            warn!(queue = shard, error, "Redis refuses the delivery log; jobs are settled and not recorded");
        }
    }
}
