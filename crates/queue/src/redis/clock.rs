//! The Redis server's clock, as far as this process knows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The last time that Redis told, carried on by the monotonic clock. The clock on the wall of this machine
/// plays no part, so that one which is an hour off harms no job.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    /// What Redis' clock showed at `origin`, in Unix milliseconds.
    redis_at_origin: AtomicU64,
    /// By how much Redis may tell another time than was expected: its answers come late.
    tolerance: Duration,
    /// When it last told one that was further off, in milliseconds since `origin`.
    jumped: AtomicU64,
}

impl Clock {
    /// Starts from a time that Redis told now.
    pub fn new(redis_millis: u64, tolerance: Duration) -> Self {
        Self {
            origin: Instant::now(),
            redis_at_origin: AtomicU64::new(redis_millis),
            tolerance,
            jumped: AtomicU64::new(0),
        }
    }

    /// Redis told its time again.
    pub fn set(&self, redis_millis: u64) {
        let elapsed = self.elapsed();
        let told = redis_millis.saturating_sub(elapsed);
        let before = self.redis_at_origin.swap(told, Ordering::Relaxed);
        if u128::from(told.abs_diff(before)) > self.tolerance.as_millis() {
            self.jumped.store(elapsed, Ordering::Relaxed);
        }
    }

    /// Unix milliseconds by Redis' clock.
    pub fn now(&self) -> u64 {
        self.redis_at_origin.load(Ordering::Relaxed) + self.elapsed()
    }

    /// Whether Redis' clock has not jumped for so long: somebody has set it, or a machine was asleep.
    pub fn steady_for(&self, time: Duration) -> bool {
        let since = self.elapsed().saturating_sub(self.jumped.load(Ordering::Relaxed));
        u128::from(since) >= time.as_millis()
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_396_101_000;
    const TOLERANCE: Duration = Duration::from_secs(15);

    /// That it was made is no jump.
    fn clock() -> Clock {
        Clock::new(NOW, TOLERANCE)
    }

    #[test]
    fn it_shows_what_redis_told_carried_on() {
        let clock = clock();
        clock.set(NOW + 10_000);
        assert!((NOW + 10_000..NOW + 15_000).contains(&clock.now()), "{}", clock.now());
    }

    #[test]
    fn an_answer_that_is_late_is_no_jump_and_a_clock_that_was_set_is() {
        let moments = Duration::from_millis(20);
        for (told, jumps) in [
            (NOW + 10_000, false),
            (NOW - 10_000, false),
            (NOW + 3_600_000, true),
            (NOW - 3_600_000, true),
            (0, true),
        ] {
            let clock = clock();
            while !clock.steady_for(moments) {
                std::thread::yield_now();
            }
            clock.set(told);
            assert_eq!(clock.steady_for(moments), !jumps, "{told}");
        }
    }
}
