//! Faults that are planted in the scripts and in the worker's decisions: the model must find each.

mod jobs;

use std::time::Duration;

use crate::faults::Kind;
use crate::keys;
use crate::limits::{self, Limits};
use crate::lines::{self, Lines};
use crate::notices::{self, Notices};
use crate::scripts::Sources;
use crate::search::Explored;
use crate::small::{self, Bounds, Small};
use crate::story;
use crate::ticks::{self, Ticks};

/// A planted fault of a small world: its name, the script, what is replaced, and by what.
pub(crate) type SmallMutation = (&'static str, &'static str, &'static str, &'static str);

/// A planted fault.
pub(crate) enum Planted {
    Jobs(&'static jobs::Mutation),
    Keys(&'static SmallMutation),
    Flow(&'static SmallMutation),
    Ticks(&'static SmallMutation),
    Lines(&'static SmallMutation),
    Notices(&'static SmallMutation),
}

/// What a search for one has found: the invariant that is broken, and the number of steps to it.
pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) took: Duration,
    pub(crate) found: Option<(String, usize)>,
    /// The steps in words.
    pub(crate) story: Option<String>,
}

/// All of them.
pub(crate) fn all() -> Vec<Planted> {
    let jobs = jobs::ALL.iter().map(Planted::Jobs);
    let small = keys::MUTATIONS.iter().map(Planted::Keys).chain(limits::MUTATIONS.iter().map(Planted::Flow));
    let more = ticks::MUTATIONS.iter().map(Planted::Ticks).chain(lines::MUTATIONS.iter().map(Planted::Lines));
    jobs.chain(small).chain(more).chain(notices::MUTATIONS.iter().map(Planted::Notices)).collect()
}

impl Planted {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Jobs(mutation) => mutation.name,
            Self::Keys(mutation) | Self::Flow(mutation) => mutation.0,
            Self::Ticks(mutation) | Self::Lines(mutation) | Self::Notices(mutation) => mutation.0,
        }
    }

    pub(crate) fn find(&self, time: Duration) -> Outcome {
        let bounds = Bounds { time: time / 8, states_max: usize::MAX };
        let explored: Vec<small::Explored> = match self {
            Self::Jobs(mutation) => return outcome_of(mutation.find(time)),
            Self::Keys((_, script, from, to)) => {
                vec![keys::explore(&Sources::new(&[(script, from, to)]), Bounds { time, ..bounds })]
            }
            Self::Flow((_, script, from, to)) => {
                let sources = Sources::new(&[(script, from, to)]);
                let starts =
                    limits::LIMITS.map(|limits| move |faults: &[Kind]| Limits::start(limits, faults));
                find_small(&starts, &limits::FAULTS, &sources, bounds)
            }
            Self::Ticks((_, script, from, to)) => {
                let sources = Sources::new(&[(script, from, to)]);
                let start = |shape| {
                    let sources = &sources;
                    move |faults: &[Kind]| Ticks::start(shape, faults, sources)
                };
                let starts: Vec<_> = (0..ticks::SHAPES.len()).map(start).collect();
                find_small(&starts, &ticks::FAULTS, &sources, bounds)
            }
            Self::Notices((_, script, from, to)) => {
                let sources = Sources::new(&[(script, from, to)]);
                find_small(&[Notices::start], &notices::FAULTS, &sources, bounds)
            }
            Self::Lines((_, script, from, to)) => {
                let sources = Sources::new(&[(script, from, to)]);
                let start = |stops| {
                    let sources = &sources;
                    move |faults: &[Kind]| Lines::start(stops, faults, sources)
                };
                find_small(&lines::SHAPES.map(start), &lines::FAULTS, &sources, bounds)
            }
        };
        let states = explored.iter().map(|explored| explored.states).sum();
        let took = explored.iter().map(|explored| explored.took).sum();
        let found = explored.into_iter().find_map(|explored| explored.found);
        let story = found.as_ref().map(|found| found.story.clone());
        let found = found.map(|found| (named(found.invariant), found.steps));
        Outcome { states, took, found, story }
    }
}

/// Looks for a fault in a small world: what happens without faults, with each kind of them, and at random.
fn find_small<S: Small>(
    starts: &[impl Fn(&[Kind]) -> S],
    kinds: &[Kind],
    sources: &Sources,
    bounds: Bounds,
) -> Vec<small::Explored> {
    let mut all = vec![];
    let few = Bounds { states_max: 1500, ..bounds };
    let sets: Vec<Vec<Kind>> = [vec![]].into_iter().chain(kinds.iter().map(|kind| vec![*kind])).collect();
    for faults in &sets {
        for start in starts {
            all.push(small::explore(&start(faults), sources, few));
            if all.last().is_some_and(|last| last.found.is_some()) {
                return all;
            }
        }
    }
    for start in starts {
        all.push(small::walk(&start(kinds), sources, bounds, 7));
        if all.last().is_some_and(|last| last.found.is_some()) {
            return all;
        }
    }
    all
}

fn named(invariant: &str) -> String {
    invariant.split(':').next().unwrap_or_default().to_owned()
}

fn outcome_of(explored: Explored) -> Outcome {
    let Explored { states, took, found, .. } = explored;
    let story = found.as_ref().map(|(invariant, steps)| story::in_words(*invariant, steps));
    let found = found.map(|(invariant, steps)| (named(invariant.text()), steps.len()));
    Outcome { states, took, found, story }
}
