//! How many attempts of one flow a worker makes at once, by how its destination answers. Pure.
//!
//! A flow begins with a few attempts and may make more with each answer, as TCP does in its slow start, so that
//! a dead destination holds few slots while nothing is known of it. A flow that takes long for an answer shares
//! what slow flows may hold together; one that has stopped answering gets no more.

use std::time::{Duration, Instant};

/// How many attempts a flow may make at once of which nothing is known.
pub(super) const FIRST: usize = 4;
/// An attempt that takes longer makes its flow slow, one that takes half as long makes it fast again.
const SLOW: Duration = Duration::from_secs(1);
/// A flow with some attempts under way and no answer for so long is not answering.
const STALL: Duration = Duration::from_millis(250);

/// Who waits in a slot for room waits so long at most: most attempts end soon, and to park a job costs more.
pub(crate) const GRACE: Duration = Duration::from_millis(50);

/// How an attempt ended, as far as its destination is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered.
    Works,
    /// It answered that there were too many requests.
    TooMany,
    /// It did not answer, or something before it said that it does not.
    Fails,
}

/// One flow, as one worker sees it.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Attempts under way.
    pub(super) in_flight: usize,
    /// How many there may be.
    size: usize,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Whether it takes long for an answer.
    pub(super) slow: bool,
    /// Whether its last answer came within the grace.
    quick: bool,
    /// The last end of an attempt, or the beginning of the first of those under way.
    moved: Instant,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { in_flight: 0, size: FIRST, failures: 0, slow: false, quick: false, moved: now }
    }

    /// How many more attempts may begin now. `slots` is how many the worker has, `slow` how many of them slow
    /// flows hold.
    pub(super) fn room(&self, slots: usize, slow: usize, now: Instant) -> usize {
        if self.in_flight >= FIRST && now.saturating_duration_since(self.moved) > STALL {
            return 0;
        }
        // A quarter of the slots is always left to others; of what slow flows hold, more is left the more of
        // them there are (dynamic thresholds: Choudhury and Hahne, 1998).
        let mut most = self.size.min(slots - slots / 4);
        if self.slow {
            most = most.min(3 * slots.saturating_sub(slow));
        }
        most.max(1).saturating_sub(self.in_flight)
    }

    /// Whether it answers, and so fast that whoever waits in a slot will have room there before it need be parked.
    pub(super) fn is_brisk(&self, now: Instant) -> bool {
        self.quick && self.failures == 0 && now.saturating_duration_since(self.moved) <= STALL
    }

    /// Half of what it may run, and of one the one.
    pub(super) fn half(&self) -> usize {
        self.size.div_ceil(2)
    }

    /// How many jobs of those that are parked may come back although all its room is taken: half of what it may
    /// run, where it is brisk. Else they would wait for as long as the stream has others.
    pub(super) fn returning(&self, now: Instant) -> usize {
        if self.is_brisk(now) { self.half() } else { 0 }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        if self.in_flight == 0 {
            self.moved = now;
        }
        self.in_flight += 1;
    }

    /// An attempt is over, without a verdict where it was cut short.
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

    /// Whether it can be forgotten: whoever comes later begins anew.
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
    fn a_flow_begins_small_and_grows_with_its_answers() {
        let now = Instant::now();
        let mut window = Window::new(now);
        assert_eq!(fill(&mut window, 0, now), FIRST);
        for _ in 0..200 {
            window.end(Some(Verdict::Works), QUICK, SLOTS, now);
            fill(&mut window, 0, now);
        }
        assert_eq!(window.in_flight, 48, "a quarter is left to others");
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
    fn a_flow_that_stops_answering_gets_no_more() {
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
    fn a_flow_is_brisk_while_its_answers_come_within_the_grace() {
        let now = Instant::now();
        let mut window = Window::new(now);
        assert!(!window.is_brisk(now), "nothing is known of it");
        window.begin(now);
        window.end(Some(Verdict::Works), GRACE, SLOTS, now);
        assert!(window.is_brisk(now) && window.is_brisk(now + STALL));
        assert!(!window.is_brisk(now + STALL + QUICK), "it has stopped answering");
        for (verdict, took) in
            [(Verdict::Works, GRACE + QUICK), (Verdict::TooMany, QUICK), (Verdict::Fails, QUICK)]
        {
            let mut window = window.clone();
            window.end(Some(verdict), took, SLOTS, now);
            assert!(!window.is_brisk(now), "{verdict:?} after {took:?}");
        }
    }

    #[test]
    fn slow_flows_leave_room_together() {
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
