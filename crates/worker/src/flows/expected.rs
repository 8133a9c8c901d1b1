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
}

impl Expected {
    const ARRIVAL_TIME_INITIAL: Duration = Duration::from_millis(500);
    const ARRIVAL_TIME_MIN: Duration = Duration::from_millis(50);
    const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(5);

    pub(super) fn new(now: Instant) -> Self {
        Self { young: 0, old: 0, turned: now, life: Self::ARRIVAL_TIME_INITIAL }
    }

    /// How many jobs are expected.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.turned);
        if passed >= self.life {
            self.old = if passed < 2 * self.life { self.young } else { 0 };
            (self.young, self.turned) = (0, now);
        }
        self.young + self.old
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
    fn the_count_does_not_fall_below_zero() {
        let start = Instant::now();
        let mut expected = Expected::new(start);
        expected.add(2, start);
        expected.remove(1);
        expected.remove(5);
        assert_eq!(expected.count(start), 0);
    }
}
