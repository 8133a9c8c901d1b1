//! The times that a script may see. A server before 7.2 reads its clock for each command of a script.

/// How long a step may take, ms: then every course of the time is tried.
pub(super) const SPAN_MS: u64 = 2;

/// A course of the time.
pub(super) struct Moves {
    pub(super) from: u64,
    /// Before which commands of the script the clock moves on, and to which times.
    pub(super) later: Vec<(usize, u64)>,
}

impl Moves {
    /// Time stands still.
    pub(super) fn none(from: u64) -> Self {
        Self { from, later: vec![] }
    }
}

/// Every course on which the time of a script with that number of commands moves once or twice.
pub(super) fn moves(from: u64, to: u64, calls: usize) -> Vec<Moves> {
    let mut all = vec![];
    for first in from..to {
        for call in 1..=calls {
            for second in first + 1..=to {
                all.push(Moves { from: first, later: vec![(call, second)] });
                for third in second + 1..=to {
                    let again = |next| Moves { from: first, later: vec![(call, second), (next, third)] };
                    all.extend((call + 1..=calls).map(again));
                }
            }
        }
    }
    all
}
