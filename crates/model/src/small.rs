//! Explores a small world: every order of its steps, breadth first.

mod mutation;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::scripts::Sources;

pub(crate) use mutation::{Mutation, planted};

/// How often a random walk begins again.
const WALK_STEPS: usize = 50;

/// A state of a small world.
pub(crate) trait Small: Clone + Hash {
    /// One step.
    type Step: Copy;

    /// The steps that are possible.
    fn steps(&self) -> Vec<Self::Step>;

    /// Does one.
    fn step(&mut self, sources: &Sources, step: Self::Step);

    /// The state after one.
    fn after(&self, sources: &Sources, step: Self::Step) -> Self {
        let mut next = self.clone();
        next.step(sources, step);
        next
    }

    /// What is wrong: the name of an invariant, and a text.
    fn check(&self, sources: &Sources) -> Option<&'static str>;

    /// A step in words.
    fn sentence(step: Self::Step) -> String;
}

/// How far to explore.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) time: Duration,
    pub(crate) states_max: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) depth: usize,
    pub(crate) took: Duration,
    /// Whether every state was explored.
    pub(crate) is_whole: bool,
    pub(crate) found: Option<Found>,
}

/// A counterexample.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) invariant: &'static str,
    pub(crate) steps: usize,
    /// The numbered steps, and what is wrong after them.
    pub(crate) story: String,
}

/// A state, without its value.
fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Explores every order of the steps, as far as the bounds allow.
pub(crate) fn explore<S: Small>(start: &S, sources: &Sources, bounds: Bounds) -> Explored {
    let began = Instant::now();
    let mut seen = HashSet::from([fingerprint(start)]);
    // Of each state, how it was reached: the number of the state before it, and the step.
    let mut origins: Vec<Option<(usize, S::Step)>> = vec![None];
    let mut level = vec![(start.clone(), 0)];
    let mut depth = 0;
    let explored =
        |states, depth, is_whole, found| Explored { states, depth, took: began.elapsed(), is_whole, found };
    while !level.is_empty() {
        let mut next_level = vec![];
        for (state, number) in level {
            for step in state.steps() {
                let next = state.after(sources, step);
                if !seen.insert(fingerprint(&next)) {
                    continue;
                }
                origins.push(Some((number, step)));
                let own = origins.len() - 1;
                if let Some(wrong) = next.check(sources) {
                    let found = found::<S>(&path(&origins, own), wrong);
                    return explored(seen.len(), depth, false, Some(found));
                }
                next_level.push((next, own));
            }
            if began.elapsed() > bounds.time || seen.len() >= bounds.states_max {
                return explored(seen.len(), depth, false, None);
            }
        }
        depth += 1;
        level = next_level;
    }
    explored(seen.len(), depth, true, None)
}

/// Walks at random, as far as the bounds allow.
pub(crate) fn walk<S: Small>(start: &S, sources: &Sources, bounds: Bounds, seed: u64) -> Explored {
    let (began, mut rng, mut seen) = (Instant::now(), Rng::with_seed(seed), HashSet::new());
    let mut wrong = None;
    while wrong.is_none() && began.elapsed() < bounds.time && seen.len() < bounds.states_max {
        let (mut state, mut steps) = (start.clone(), vec![]);
        while steps.len() < WALK_STEPS && wrong.is_none() {
            let possible = state.steps();
            let Some(step) = possible.get(rng.usize(..possible.len().max(1))) else { break };
            state = state.after(sources, *step);
            steps.push(*step);
            if seen.insert(fingerprint(&state)) {
                wrong = state.check(sources).map(|wrong| found::<S>(&steps, wrong));
            }
        }
    }
    let (states, took) = (seen.len(), began.elapsed());
    Explored { states, depth: WALK_STEPS, took, is_whole: false, found: wrong }
}

fn path<T: Copy>(origins: &[Option<(usize, T)>], end: usize) -> Vec<T> {
    let mut steps = vec![];
    let mut at = end;
    while let Some((before, step)) = origins[at] {
        steps.push(step);
        at = before;
    }
    steps.reverse();
    steps
}

fn found<S: Small>(steps: &[S::Step], invariant: &'static str) -> Found {
    let lines =
        steps.iter().enumerate().map(|(index, step)| format!("{:3}. {}\n", index + 1, S::sentence(*step)));
    let story = format!("{}     Broken: {invariant}\n", lines.collect::<String>());
    Found { invariant, steps: steps.len(), story }
}
