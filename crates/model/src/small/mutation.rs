//! A fault that is planted in a script of a small world, and the search for it.

use std::time::Duration;

use super::{Bounds, Explored, Small, explore, walk};
use crate::faults::Kind;
use crate::scripts::Sources;

/// How many states are explored in every order, before random walks.
const STATES_MAX: usize = 40_000;
/// The seed of the walks.
const SEED: u64 = 7;

/// A planted fault.
pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    script: &'static str,
    /// What is replaced, and by what.
    from: &'static str,
    to: &'static str,
    /// The faults under which it shows: with fewer, it is found sooner.
    faults: &'static [Kind],
    /// The start from which it shows, by its number.
    start: usize,
}

/// A fault that is planted in a script: `from` becomes `to`.
pub(crate) const fn planted(
    name: &'static str,
    script: &'static str,
    [from, to]: [&'static str; 2],
    faults: &'static [Kind],
    start: usize,
) -> Mutation {
    Mutation { name, script, from, to, faults, start }
}

impl Mutation {
    /// Looks for it: first in every order of the steps, then by random walks. `start` makes a start by its number.
    pub(crate) fn find<S: Small>(
        &self,
        time: Duration,
        start: impl Fn(usize, &[Kind], &Sources) -> S,
    ) -> Explored {
        let sources = Sources::new(&[(self.script, self.from, self.to)]);
        let start = start(self.start, self.faults, &sources);
        let searched = explore(&start, &sources, Bounds { time: time / 2, states_max: STATES_MAX });
        if searched.found.is_some() || searched.is_whole {
            return searched;
        }
        let walked = walk(&start, &sources, Bounds { time: time / 2, states_max: usize::MAX }, SEED);
        Explored { states: searched.states + walked.states, took: searched.took + walked.took, ..walked }
    }
}
