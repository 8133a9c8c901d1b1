//! How many jobs of a flow were admitted and may still come. Pure.

use std::time::{Duration, Instant};

/// Jobs that were admitted are expected for a while: by then they have come, or another worker has taken them, of
/// which nobody tells. How long that takes, those tell that come.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Since [`Self::turned`].
    young: usize,
    /// Before.
    old: usize,
    turned: Instant,
    /// For at least so long a job is expected, and for at most twice as long.
    life: Duration,
}

impl Expected {
    const FIRST: Duration = Duration::from_millis(500);
    const LEAST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(super) fn new(now: Instant) -> Self {
        Self { young: 0, old: 0, turned: now, life: Self::FIRST }
    }

    /// How many there are.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.turned);
        if passed >= self.life {
            self.old = if passed < 2 * self.life { self.young } else { 0 };
            (self.young, self.turned) = (0, now);
        }
        self.young + self.old
    }

    /// So many more were admitted.
    pub(super) fn more(&mut self, jobs: usize, now: Instant) {
        self.count(now);
        self.young += jobs;
    }

    /// So many are not expected any more, of those first that were admitted first.
    pub(super) fn fewer(&mut self, jobs: usize) {
        let old = self.old.min(jobs);
        self.old -= old;
        self.young = self.young.saturating_sub(jobs - old);
    }

    /// One has come, so long after it was admitted.
    pub(super) fn came(&mut self, after: Duration) {
        self.fewer(1);
        self.life = after.saturating_mul(2).clamp(Self::LEAST, Self::LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn who_does_not_come_is_not_expected_for_ever() {
        let start = Instant::now();
        let mut expected = Expected::new(start);
        expected.more(8, start);
        assert_eq!(expected.count(at(start, 499)), 8);
        assert_eq!(expected.count(at(start, 999)), 8, "at most twice as long");
        expected.more(1, at(start, 1000));
        assert_eq!(
            expected.count(at(start, 1499)),
            1,
            "those before are gone, though more were admitted since"
        );
        assert_eq!(expected.count(at(start, 9000)), 0);
    }

    #[test]
    fn who_comes_tells_how_long_it_takes() {
        let start = Instant::now();
        let mut expected = Expected::new(start);
        expected.more(3, start);
        expected.came(Duration::from_millis(1));
        assert_eq!(expected.count(start), 2);
        assert_eq!(expected.count(at(start, 100)), 0, "it takes a moment, so the others are another's");
        expected.more(3, at(start, 100));
        expected.came(Duration::from_secs(2));
        assert_eq!(expected.count(at(start, 4000)), 2, "there are many jobs before them");
        assert_eq!(expected.count(at(start, 60_000)), 0);
    }

    #[test]
    fn no_more_can_come_than_are_expected() {
        let start = Instant::now();
        let mut expected = Expected::new(start);
        expected.more(2, start);
        expected.fewer(1);
        expected.fewer(5);
        assert_eq!(expected.count(start), 0);
    }
}
