//! Limits the concurrent attempts of one flow in a worker, by how its destination responds. Pure.
//!
//! A flow begins with a few attempts, and each response raises its limit, as in TCP's slow start. So a dead
//! destination holds few slots before it is known to be dead. Slow flows share a limit on the slots that they
//! hold together. A flow that has stopped responding gets no more attempts.

use std::time::{Duration, Instant};

/// Limit of concurrent attempts of a new flow.
pub(super) const FIRST: usize = 4;
/// An attempt that takes longer makes its flow slow. One that takes less than half makes it fast again.
const SLOW: Duration = Duration::from_secs(1);
/// A flow with [`FIRST`] attempts under way and no response for this time has stopped responding.
const STALL: Duration = Duration::from_millis(250);

/// How long a job in a slot waits for room: most attempts end soon, and holding a job costs more.
pub(crate) const GRACE: Duration = Duration::from_millis(50);

/// What the result of an attempt shows about its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It responded.
    Works,
    /// It responded that there were too many requests.
    TooMany,
    /// It did not respond, or a gateway in front of it reported so.
    Fails,
}

/// The limit of one flow in one worker, and what it depends on.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Attempts under way.
    pub(super) in_flight: usize,
    /// Limit of attempts under way.
    size: usize,
    /// Consecutive failures.
    pub(super) failures: u32,
    /// Whether its responses take long.
    pub(super) slow: bool,
    /// Whether its last response came within [`GRACE`].
    quick: bool,
    /// When an attempt last ended, or when the first of those under way began.
    moved: Instant,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { in_flight: 0, size: FIRST, failures: 0, slow: false, quick: false, moved: now }
    }

    /// How many more attempts may begin now. The worker has `slots` slots; slow flows hold `slow` of them.
    pub(super) fn room(&self, slots: usize, slow: usize, now: Instant) -> usize {
        if self.in_flight >= FIRST && now.saturating_duration_since(self.moved) > STALL {
            return 0;
        }
        // A quarter of the slots is always left to other flows. A slow flow gets at most three times the
        // slots that slow flows leave free, so that they never take all together (dynamic thresholds:
        // Choudhury and Hahne, 1998).
        let mut most = self.size.min(slots - slots / 4);
        if self.slow {
            most = most.min(3 * slots.saturating_sub(slow));
        }
        most.max(1).saturating_sub(self.in_flight)
    }

    /// Whether it responds so fast that a job that waits in its slot gets room before it must be held.
    pub(super) fn is_brisk(&self, now: Instant) -> bool {
        self.quick && self.failures == 0 && now.saturating_duration_since(self.moved) <= STALL
    }

    /// Half of the limit, rounded up.
    pub(super) fn half(&self) -> usize {
        self.size.div_ceil(2)
    }

    /// How many held jobs may return although there is no room: half of the limit if the flow is brisk.
    /// Otherwise they would wait as long as the stream has other jobs.
    pub(super) fn returning(&self, now: Instant) -> usize {
        if self.is_brisk(now) { self.half() } else { 0 }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        if self.in_flight == 0 {
            self.moved = now;
        }
        self.in_flight += 1;
    }

    /// Records the end of an attempt. `verdict` is `None` if the attempt was cut short.
    pub(super) fn end(&mut self, verdict: Option<Verdict>, took: Duration, slots: usize, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(verdict) = verdict else { return };
        self.moved = now;
        match verdict {
            Verdict::Works => {
                self.size = (self.size + 1).min(slots.max(FIRST));
                self.failures = 0;
            }
            Verdict::TooMany => {
                self.size = (self.size / 2).max(1);
                self.failures = 0;
            }
            Verdict::Fails => {
                self.size = (self.size / 2).max(1);
                self.failures = self.failures.saturating_add(1);
            }
        }
        self.quick = verdict == Verdict::Works && took <= GRACE;
        if took > SLOW {
            self.slow = true;
        } else if took < SLOW / 2 {
            self.slow = false;
        }
    }

    /// Whether the flow can be forgotten: a later job begins with a new window.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        const FORGOTTEN: Duration = Duration::from_secs(60);
        self.in_flight == 0 && now.saturating_duration_since(self.moved) > FORGOTTEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 64;
    const QUICK: Duration = Duration::from_millis(1);

    fn fill(window: &mut Window, slow: usize, now: Instant) -> usize {
        let room = window.room(SLOTS, slow, now);
        (0..room).for_each(|_| window.begin(now));
        window.in_flight
    }

    #[test]
    fn a_flow_begins_small_and_grows_with_its_responses() {
        let now = Instant::now();
        let mut window = Window::new(now);
        assert_eq!(fill(&mut window, 0, now), FIRST);
        for _ in 0..200 {
            window.end(Some(Verdict::Works), QUICK, SLOTS, now);
            fill(&mut window, 0, now);
        }
        assert_eq!(window.in_flight, 48, "a quarter is left to other flows");
    }

    #[test]
    fn a_flow_that_fails_shrinks_to_one() {
        let now = Instant::now();
        let mut window = Window::new(now);
        for failures in 1..=6 {
            window.begin(now);
            window.end(Some(Verdict::Fails), QUICK, SLOTS, now);
            assert_eq!(window.failures, failures);
        }
        assert_eq!(window.room(SLOTS, 0, now), 1);
        window.begin(now);
        window.end(Some(Verdict::Works), QUICK, SLOTS, now);
        assert_eq!((window.failures, window.room(SLOTS, 0, now)), (0, 2));
    }

    #[test]
    fn a_flow_that_stops_responding_gets_no_more() {
        let now = Instant::now();
        let mut window = Window::new(now);
        (0..40).for_each(|_| window.end(Some(Verdict::Works), QUICK, SLOTS, now));
        (0..10).for_each(|_| window.begin(now));
        assert!(window.room(SLOTS, 0, now) > 0);
        let later = now + STALL + QUICK;
        assert_eq!(window.room(SLOTS, 0, later), 0);
        window.end(Some(Verdict::Works), STALL, SLOTS, later);
        assert!(window.room(SLOTS, 0, later) > 0);
    }

    #[test]
    fn a_flow_is_brisk_while_its_responses_come_within_the_grace() {
        let now = Instant::now();
        let mut window = Window::new(now);
        assert!(!window.is_brisk(now), "it has not responded yet");
        window.begin(now);
        window.end(Some(Verdict::Works), GRACE, SLOTS, now);
        assert!(window.is_brisk(now) && window.is_brisk(now + STALL));
        assert!(!window.is_brisk(now + STALL + QUICK), "it has stopped responding");
        for (verdict, took) in
            [(Verdict::Works, GRACE + QUICK), (Verdict::TooMany, QUICK), (Verdict::Fails, QUICK)]
        {
            let mut window = window.clone();
            window.end(Some(verdict), took, SLOTS, now);
            assert!(!window.is_brisk(now), "{verdict:?} after {took:?}");
        }
    }

    #[test]
    fn slow_flows_together_leave_slots_free() {
        let now = Instant::now();
        let mut windows = vec![Window::new(now); 8];
        for window in &mut windows {
            (0..SLOTS).for_each(|_| window.end(Some(Verdict::Works), SLOW * 2, SLOTS, now));
        }
        for _ in 0..SLOTS {
            for which in 0..windows.len() {
                let slow = windows.iter().map(|window| window.in_flight).sum();
                if windows[which].room(SLOTS, slow, now) > 0 {
                    windows[which].begin(now);
                }
            }
        }
        let held: usize = windows.iter().map(|window| window.in_flight).sum();
        assert!((48..SLOTS).contains(&held), "{held}");
    }
}
