//! Limits the log lines of dead letters, so that a flood of garbage does not become a flood of lines.

use std::sync::{Mutex, PoisonError};

use postrider_queue::job::Reason;
use tracing::warn;

/// The number of lines for each reason between two calls of [`DeadLines::end_interval`].
const LINES_MAX: u64 = 100;

/// How many dead letters of each reason there were in this interval.
#[derive(Debug, Default)]
pub(crate) struct DeadLines(Mutex<[u64; Reason::ALL.len()]>);

impl DeadLines {
    /// Counts a dead letter. Returns whether it has a line.
    pub(crate) fn next(&self, reason: Reason) -> bool {
        let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let letters = &mut letters[reason as usize];
        *letters += 1;
        if *letters == LINES_MAX + 1 {
            warn!(%reason, "further lines of dead letters with this reason are left out for up to 10 s");
        }
        *letters <= LINES_MAX
    }

    /// Logs how many lines were left out, and begins a new interval.
    pub(crate) fn end_interval(&self) {
        let letters = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (reason, letters) in Reason::ALL.into_iter().zip(letters) {
            let lines = letters.saturating_sub(LINES_MAX);
            if lines > 0 {
                warn!(%reason, lines, "left out lines of dead letters");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_lines_in_each_interval() {
        let lines = DeadLines::default();
        let written = |reason| (0..300).filter(|_| lines.next(reason)).count();
        assert_eq!(written(Reason::Malformed), 100);
        assert_eq!(written(Reason::Poison), 100, "another reason");
        assert_eq!(written(Reason::Malformed), 0);
        lines.end_interval();
        assert_eq!(written(Reason::Malformed), 100);
    }

    #[test]
    fn each_reason_is_at_its_own_index() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
