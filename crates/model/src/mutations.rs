//! Faults that are planted in the scripts and in the worker's decisions: the model must find each.

mod jobs;

use std::time::Duration;

use crate::faults::Kind;
use crate::keys::{self, Keys};
use crate::limits::{self, LIMITS, Limits};
use crate::lines::{self, Lines};
use crate::notices::{self, Notices};
use crate::scripts::Sources;
use crate::search;
use crate::small::{self, Mutation};
use crate::story;
use crate::ticks::{self, Ticks};

/// A planted fault, by the world that must find it.
pub(crate) enum Planted {
    Jobs(&'static jobs::Mutation),
    Keys(&'static Mutation),
    Flow(&'static Mutation),
    Ticks(&'static Mutation),
    Lines(&'static Mutation),
    Notices(&'static Mutation),
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
            Self::Keys(mutation) | Self::Flow(mutation) => mutation.name,
            Self::Ticks(mutation) | Self::Lines(mutation) | Self::Notices(mutation) => mutation.name,
        }
    }

    /// The world that must find it.
    pub(crate) fn world(&self) -> &'static str {
        match self {
            Self::Jobs(_) => "jobs",
            Self::Keys(_) => "keys and shards",
            Self::Flow(_) => "flow",
            Self::Ticks(_) => "periodic jobs",
            Self::Lines(_) => "lines and callbacks",
            Self::Notices(_) => "notices",
        }
    }

    pub(crate) fn find(&self, time: Duration) -> Outcome {
        let explored = match self {
            Self::Jobs(mutation) => return of_jobs(mutation.find(time)),
            Self::Keys(mutation) => mutation.find(time, |_, _, _: &Sources| Keys::start()),
            Self::Flow(mutation) => mutation
                .find(time, |start, faults: &[Kind], _: &Sources| Limits::start(LIMITS[start], faults)),
            Self::Ticks(mutation) => mutation.find(time, Ticks::start),
            Self::Lines(mutation) => mutation.find(time, |start, faults: &[Kind], sources: &Sources| {
                Lines::start(lines::SHAPES[start], faults, sources)
            }),
            Self::Notices(mutation) => {
                mutation.find(time, |_, faults: &[Kind], _: &Sources| Notices::start(faults))
            }
        };
        let small::Explored { states, took, found, .. } = explored;
        let story = found.as_ref().map(|found| found.story.clone());
        Outcome { states, took, found: found.map(|found| (named(found.invariant), found.steps)), story }
    }
}

/// The name of an invariant.
fn named(invariant: &str) -> String {
    invariant.split(':').next().unwrap_or_default().to_owned()
}

fn of_jobs(explored: search::Explored) -> Outcome {
    let search::Explored { states, took, found, .. } = explored;
    let story = found.as_ref().map(|(invariant, steps)| story::in_words(*invariant, steps));
    let found = found.map(|(invariant, steps)| (named(invariant.text()), steps.len()));
    Outcome { states, took, found, story }
}
