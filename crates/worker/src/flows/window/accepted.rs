//! How many attempts of a flow are accepted in a second. Pure.

use std::time::Instant;

/// Counts by the second.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    /// When the present second began.
    second: Instant,
    /// Accepted in it, and in the one before.
    counts: [u32; 2],
}

impl Accepted {
    pub(super) fn new(now: Instant) -> Self {
        Self { second: now, counts: [0; 2] }
    }

    pub(super) fn count(&mut self, now: Instant) {
        self.roll(now);
        self.counts[0] += 1;
    }

    /// How many within the last second, about.
    pub(super) fn lately(&mut self, now: Instant) -> u32 {
        self.roll(now);
        self.counts[0].max(self.counts[1])
    }

    fn roll(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.second).as_secs();
        if passed > 0 {
            self.counts = [0, if passed == 1 { self.counts[0] } else { 0 }];
            self.second = now;
        }
    }
}
