//! Jobs of a flow that were admitted and may still arrive. Pure.

use std::time::{Duration, Instant};

/// Number of admitted jobs that are expected. A job is expected for a limited time: by then it has arrived,
/// or another worker has fetched it, which this worker does not see. Arrivals show how long that takes.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Admitted since [`Self::turned`].
    young: usize,
    /// Admitted before.
    old: usize,
    turned: Instant,
    /// A job is expected for at least this time, and for at most twice this time.
    life: Duration,
    /// Whether one has arrived since [`Self::turned`].
    has_arrived: bool,
    /// Whether the last one to arrive came late, or none came in its time.
    is_late: bool,
}

impl Expected {
    const ARRIVAL_TIME_INITIAL: Duration = Duration::from_millis(500);
    const ARRIVAL_TIME_MIN: Duration = Duration::from_millis(50);
    const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(5);
    /// A job that arrives after this time was behind a long stream.
    const LATE_AFTER: Duration = Duration::from_secs(1);

    pub(super) fn new(now: Instant) -> Self {
        let life = Self::ARRIVAL_TIME_INITIAL;
        Self { young: 0, old: 0, turned: now, life, has_arrived: false, is_late: false }
    }

    /// How many jobs are expected.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.turned);
        if passed >= self.life {
            let is_over = passed >= 2 * self.life;
            let missing = self.old + if is_over { self.young } else { 0 };
            self.is_late |= missing > 0 && !self.has_arrived;
            self.old = if is_over { 0 } else { self.young };
            (self.young, self.turned, self.has_arrived) = (0, now, false);
        }
        self.young + self.old
    }

    /// Whether admitted jobs return late: they are behind a long stream, or other workers get them.
    pub(super) fn is_late(&mut self, now: Instant) -> bool {
        self.count(now);
        self.is_late
    }

    /// Adds jobs that were admitted.
    pub(super) fn add(&mut self, jobs: usize, now: Instant) {
        self.count(now);
        self.young += jobs;
    }

    /// Removes jobs, the oldest first.
    pub(super) fn remove(&mut self, jobs: usize) {
        let old = self.old.min(jobs);
        self.old -= old;
        self.young = self.young.saturating_sub(jobs - old);
    }

    /// A job has arrived. `after` is the time since its admission.
    pub(super) fn record_arrival(&mut self, after: Duration) {
        self.remove(1);
        (self.has_arrived, self.is_late) = (true, after > Self::LATE_AFTER);
        self.life = after.saturating_mul(2).clamp(Self::ARRIVAL_TIME_MIN, Self::ARRIVAL_TIME_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_job_that_does_not_arrive_is_not_expected_for_ever() {
        let start = Instant::now();
        let mut expected = Expected::new(start);
        expected.add(8, start);
        assert_eq!(expected.count(at(start, 499)), 8);
        assert_eq!(expected.count(at(start, 999)), 8, "at most twice as long");
        expected.add(1, at(start, 1000));
        assert_eq!(
            expected.count(at(start, 1499)),
            1,
            "earlier jobs have expired, although more were admitted since"
        );
        assert_eq!(expected.count(at(start, 9000)), 0);
    }

    #[test]
    fn an_arrival_sets_how_long_others_are_expected() {
        let start = Instant::now();
        let mut expected = Expected::new(start);
        expected.add(3, start);
        expected.record_arrival(Duration::from_millis(1));
        assert_eq!(expected.count(start), 2);
        assert_eq!(expected.count(at(start, 100)), 0, "arrival is quick, so another worker has the others");
        expected.add(3, at(start, 100));
        expected.record_arrival(Duration::from_secs(2));
        assert_eq!(expected.count(at(start, 4000)), 2, "there are many jobs before them");
        assert_eq!(expected.count(at(start, 60_000)), 0);
    }

    #[test]
    fn jobs_that_do_not_arrive_in_their_time_are_late_until_one_arrives_soon() {
        let start = Instant::now();
        let mut expected = Expected::new(start);
        expected.add(4, start);
        assert!(!expected.is_late(at(start, 499)));
        assert!(expected.is_late(at(start, 1000)), "none has arrived");
        expected.record_arrival(Duration::from_millis(2));
        assert!(!expected.is_late(at(start, 1001)), "the stream is short again");
        expected.record_arrival(Duration::from_secs(2));
        assert!(expected.is_late(at(start, 1002)), "there are many jobs before them");
    }

    #[test]
    fn the_count_does_not_fall_below_zero() {
        let start = Instant::now();
        let mut expected = Expected::new(start);
        expected.add(2, start);
        expected.remove(1);
        expected.remove(5);
        assert_eq!(expected.count(start), 0);
    }
}
