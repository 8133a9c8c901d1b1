//! The Redis server's clock, as this process knows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The last time that Redis returned, advanced by the monotonic clock. The wall clock of this machine is not
/// used, so that a clock which is an hour off harms no job.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    /// Redis' time at `origin`, Unix milliseconds.
    redis_at_origin: AtomicU64,
    /// How far Redis' time may be from the expected one: its replies arrive late.
    tolerance: Duration,
    /// When Redis last returned a time outside the tolerance, in milliseconds since `origin`.
    jumped: AtomicU64,
}

impl Clock {
    /// Starts from a time that Redis has just returned.
    pub fn new(redis_millis: u64, tolerance: Duration) -> Self {
        Self {
            origin: Instant::now(),
            redis_at_origin: AtomicU64::new(redis_millis),
            tolerance,
            jumped: AtomicU64::new(0),
        }
    }

    /// Sets the time that Redis returned to a call that began at `asked`. Redis read it at some time since then: if this
    /// process did not run for a while before it saw the reply, that is no jump of Redis' clock.
    pub fn set(&self, redis_millis: u64, asked: Instant) {
        let elapsed = self.elapsed();
        let took = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX).min(elapsed);
        let tolerance = u64::try_from(self.tolerance.as_millis()).unwrap_or(u64::MAX);
        let latest = self.redis_at_origin.load(Ordering::Relaxed) + elapsed;
        let off = (latest - took).saturating_sub(redis_millis).max(redis_millis.saturating_sub(latest));
        if off > tolerance {
            self.jumped.store(elapsed, Ordering::Relaxed);
        } else if took > tolerance {
            // The estimate is better than a reply this old.
            return;
        }
        self.redis_at_origin.store(redis_millis.saturating_sub(elapsed), Ordering::Relaxed);
    }

    /// Unix milliseconds by Redis' clock.
    pub fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// The same at another time of this machine's monotonic clock.
    pub fn at(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.origin).as_millis();
        self.redis_at_origin.load(Ordering::Relaxed) + u64::try_from(since).unwrap_or(u64::MAX / 2)
    }

    /// Whether Redis' clock has not jumped for `time`. It jumps when somebody sets it, or a machine was
    /// asleep.
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

    fn clock() -> Clock {
        Clock::new(NOW, TOLERANCE)
    }

    #[test]
    fn it_advances_the_last_time_of_redis() {
        let clock = clock();
        clock.set(NOW + 10_000, Instant::now());
        assert!((NOW + 10_000..NOW + 15_000).contains(&clock.now()), "{}", clock.now());
    }

    #[test]
    fn a_late_reply_is_no_jump_and_a_clock_that_was_set_is_one() {
        let moments = Duration::from_millis(20);
        for (time, jumps) in [
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
            clock.set(time, Instant::now());
            assert_eq!(clock.steady_for(moments), !jumps, "{time}");
        }
    }

    #[test]
    fn a_reply_that_was_read_late_is_no_jump() {
        let moments = Duration::from_millis(20);
        let clock = Clock { tolerance: Duration::from_millis(5), ..clock() };
        let asked = Instant::now();
        // Redis answers at once, and this process does not run for a while.
        while !clock.steady_for(moments) {
            std::thread::yield_now();
        }
        clock.set(NOW, asked);
        assert!(clock.steady_for(moments));
        assert!(clock.now() >= NOW + 20, "the late reply did not set it back: {}", clock.now());
        clock.set(clock.now(), Instant::now());
        assert!(clock.steady_for(moments), "and neither is the next one a jump");
        clock.set(clock.now() + 1000, asked);
        assert!(!clock.steady_for(moments), "a time after the reply is one");
    }
}
