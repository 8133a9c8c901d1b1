//! The Redis server's clock, as far as this process knows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The last time that Redis told, carried on by the monotonic clock. The clock on the wall of this machine
/// plays no part, so that one which is an hour off harms no job.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    /// What Redis' clock showed at `origin`, in Unix milliseconds.
    redis_at_origin: AtomicU64,
}

impl Clock {
    /// Starts from a time that Redis told now.
    pub fn new(redis_millis: u64) -> Self {
        Self { origin: Instant::now(), redis_at_origin: AtomicU64::new(redis_millis) }
    }

    /// Redis told its time again.
    pub fn set(&self, redis_millis: u64) {
        self.redis_at_origin.store(redis_millis.saturating_sub(self.elapsed()), Ordering::Relaxed);
    }

    /// Unix milliseconds by Redis' clock.
    pub fn now(&self) -> u64 {
        self.redis_at_origin.load(Ordering::Relaxed) + self.elapsed()
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}
