//! The load of a worker, on which the window of each of its flows depends. Pure.

use std::time::Instant;

/// What a window depends on besides its own flow.
#[derive(Clone, Copy, Debug)]
pub(in crate::flows) struct WorkerLoad {
    /// The worker's slots.
    pub(in crate::flows) slots: usize,
    /// Slots that neither slow flows nor attempts on probation hold.
    pub(in crate::flows) free: usize,
    /// Slots that these hold.
    pub(in crate::flows) busy: usize,
    /// Whether other flows wait for the share of attempts on probation.
    pub(in crate::flows) others_wait: bool,
    /// Since when more attempts are silent than that share allows.
    pub(in crate::flows) suspicious_since: Option<Instant>,
}

/// How many slots one flow always leaves to others: an eighth, and at least one where there are four.
pub(in crate::flows) fn left_to_others(slots: usize) -> usize {
    (slots / 8).max((slots / 4).min(1))
}
