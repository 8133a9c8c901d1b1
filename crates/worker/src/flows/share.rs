//! Limits the slots that attempts hold together while destinations do not answer. Pure.
//!
//! An attempt is on probation if its flow has not answered lately, or if the attempt itself has been silent
//! for long. All other slots are left to flows that answer, so any number of hanging destinations delays
//! none of these. The limit begins at half of the slots. Each answer to an attempt on probation raises it, and
//! each attempt that falls silent lowers it (additive increase, multiplicative decrease).

use std::time::Instant;

use super::expected::Expected;

/// The slots that attempts on probation hold, and their limit.
#[derive(Debug)]
pub(super) struct Share {
    slots: usize,
    limit: f64,
    /// Attempts on probation.
    pub(super) held: usize,
    /// Places that are kept: for flows whose turn it is, and for admitted jobs that have not arrived yet.
    pub(super) expected: Expected,
}

impl Share {
    /// What an answer adds to the limit, in slots.
    const INCREASE: f64 = 0.5;
    /// The factor of the limit when an attempt falls silent.
    const DECREASE: f64 = 7.0 / 8.0;

    pub(super) fn new(slots: usize, now: Instant) -> Self {
        let mut share = Self { slots, limit: 0.0, held: 0, expected: Expected::new(now) };
        share.set(slots as f64 / 2.0);
        share
    }

    /// How many more attempts on probation may begin, while slow flows that answer hold `slow` slots. Slow
    /// flows and probation together leave an eighth of the slots to fast flows.
    pub(super) fn room(&self, slow: usize) -> usize {
        (self.limit as usize).min(self.left(slow)).saturating_sub(self.held)
    }

    fn left(&self, slow: usize) -> usize {
        (self.slots - self.slots / 8).saturating_sub(slow).max(1)
    }

    /// Whether an attempt on probation may begin that was admitted before, here or by another worker, which kept a place for it.
    pub(super) fn has_room_for_admitted(&self, slow: usize) -> bool {
        self.held < self.left(slow)
    }

    /// How many held jobs may be admitted to be attempts on probation.
    pub(super) fn room_for_held(&mut self, slow: usize, now: Instant) -> usize {
        self.room(slow).saturating_sub(self.expected.count(now))
    }

    /// How many attempts on probation exceed the limit, since they fell silent after they had begun. Others
    /// get slots in their place, up to as many as there are: all flows may stop answering together.
    pub(super) fn excess(&self) -> usize {
        self.held.saturating_sub(self.limit as usize).min(self.slots)
    }

    /// An attempt on probation was answered. If it was silent for long, it undoes what its silence did.
    pub(super) fn answered(&mut self, was_silent: bool) {
        let before = if was_silent { self.limit / Self::DECREASE } else { self.limit };
        self.set(before + Self::INCREASE);
    }

    /// An attempt has been silent for long.
    pub(super) fn fell_silent(&mut self) {
        self.set(self.limit * Self::DECREASE);
    }

    fn set(&mut self, limit: f64) {
        let slots = self.slots as f64;
        self.limit = limit.clamp((slots / 8.0).max(1.0), (slots * 7.0 / 8.0).max(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_answers_and_shrinks_with_silence() {
        let mut share = Share::new(64, Instant::now());
        assert_eq!(share.room(0), 32);
        (0..1000).for_each(|_| share.answered(false));
        assert_eq!(share.room(0), 56);
        (0..4).for_each(|_| share.fell_silent());
        assert_eq!(share.room(0), 32);
        share.fell_silent();
        share.answered(true);
        assert_eq!(share.room(0), 33, "it was only late");
        (0..1000).for_each(|_| share.fell_silent());
        assert_eq!(share.room(0), 8);
        share.held = 10;
        assert_eq!((share.room(0), share.excess()), (0, 2));
        share.held = 128;
        assert_eq!(share.excess(), 64, "never more than there are slots");
    }

    #[test]
    fn slow_flows_that_answer_come_first() {
        let share = Share::new(64, Instant::now());
        assert_eq!((share.room(40), share.room(64)), (16, 1));
    }

    #[test]
    fn a_worker_with_few_slots_still_tries() {
        for (slots, most) in [(1, 1), (2, 1), (4, 2), (8, 4)] {
            assert_eq!(Share::new(slots, Instant::now()).room(0), most, "{slots}");
        }
    }
}
