//! The delivery log of a shard: what it keeps, and whether Redis takes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// What is recorded while somebody follows jobs and no log is kept: enough for readers that look once a second.
const FOLLOWED: LogBounds = LogBounds { age_ms: 60_000, jobs: 20_000, bytes: 8 << 20 };

/// Where records go now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogTarget {
    bounds: LogBounds,
    is_kept: bool,
}

impl LogTarget {
    /// Adds the keys of the stream, and the bounds.
    pub(crate) fn push(&self, own: &Keys, keys: &mut Vec<Key>, args: &mut Vec<Value>) {
        self.bounds.push(own, keys, args);
        if !self.is_kept {
            // Another worker may keep a log there, which these bounds would shorten.
            let log = keys.len() - 2;
            keys[log] = own.tail.clone();
        }
    }
}

/// The delivery log that a worker writes.
#[derive(Debug)]
pub(crate) struct DeliveryLog {
    /// What is kept; `None` unless a log is kept.
    pub(crate) kept: Option<LogBounds>,
    /// Whether somebody follows jobs as they end.
    is_followed: Arc<AtomicBool>,
    /// When the last refusal was logged.
    refused: Mutex<Option<Instant>>,
}

impl DeliveryLog {
    pub(crate) fn new(kept: Option<LogBounds>, is_followed: Arc<AtomicBool>) -> Self {
        Self { kept, is_followed, refused: Mutex::default() }
    }

    /// Where records go now; `None` if nothing is recorded.
    pub(crate) fn target(&self) -> Option<LogTarget> {
        match self.kept {
            Some(bounds) => Some(LogTarget { bounds, is_kept: true }),
            None if self.is_followed.load(Ordering::Relaxed) => {
                Some(LogTarget { bounds: FOLLOWED, is_kept: false })
            }
            None => None,
        }
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
