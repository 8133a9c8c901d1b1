//! Explores the world: every interleaving up to a depth, or random walks.
//!
//! The search is our own, a breadth-first search in a few lines. `stateright` would bring an HTTP server and a dozen more crates
//! for it, and its properties see a state alone: it could not leave out what follows a broken one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::faults::Kind;
use crate::world::{Action, Invariant, JOBS, Rules, Shape, World, fingerprint};

/// How often a random walk begins again.
const WALK_STEPS: usize = 60;

/// What is explored.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) rules: Rules,
    pub(crate) faults: Vec<Kind>,
    /// How many faults of each kind there are at most.
    pub(crate) each: u8,
    pub(crate) shapes: [Shape; JOBS],
    /// How many steps follow one another at most.
    pub(crate) depth: usize,
    /// How long it may take.
    pub(crate) time: Duration,
    /// How many states it explores at most.
    pub(crate) states_max: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// The depth up to which all states were explored.
    pub(crate) depth: usize,
    pub(crate) took: Duration,
    /// A broken invariant, and the steps to it.
    pub(crate) found: Option<(Invariant, Vec<Action>)>,
}

impl Search {
    fn start(&self) -> World {
        World::start(&self.rules, &self.faults, self.each)
    }

    /// Explores all states up to the depth, or as far as the time is enough.
    pub(crate) fn run(&self) -> Explored {
        let began = Instant::now();
        let start = self.start();
        let mut seen = HashSet::from([fingerprint(&start)]);
        // Of each state, how it was reached: the number of the state before it, and the step.
        let mut origins: Vec<Option<(usize, Action)>> = vec![None];
        let mut level = vec![(start, 0)];
        for depth in 0..self.depth {
            let mut next_level = vec![];
            for (world, number) in level {
                for action in world.actions(&self.rules, &self.shapes) {
                    let Some(next) = world.after(&self.rules, action) else { continue };
                    if !seen.insert(fingerprint(&next)) {
                        continue;
                    }
                    origins.push(Some((number, action)));
                    let own = origins.len() - 1;
                    if let Some(invariant) = next.check(&self.rules) {
                        let found = Some((invariant, path(&origins, own)));
                        return Explored { states: seen.len(), depth, took: began.elapsed(), found };
                    }
                    next_level.push((next, own));
                }
                if began.elapsed() > self.time || seen.len() >= self.states_max {
                    return Explored { states: seen.len(), depth, took: began.elapsed(), found: None };
                }
            }
            if next_level.is_empty() {
                break;
            }
            level = next_level;
        }
        Explored { states: seen.len(), depth: self.depth, took: began.elapsed(), found: None }
    }

    /// Walks at random until the time is over.
    pub(crate) fn walk(&self, seed: u64) -> Explored {
        let (began, mut rng) = (Instant::now(), Rng::with_seed(seed));
        let mut seen = HashSet::new();
        while began.elapsed() < self.time && seen.len() < self.states_max {
            let (mut world, mut steps) = (self.start(), vec![]);
            while steps.len() < WALK_STEPS {
                let actions = world.actions(&self.rules, &self.shapes);
                if actions.is_empty() {
                    break;
                }
                let action = actions[rng.usize(..actions.len())];
                let Some(next) = world.after(&self.rules, action) else { continue };
                steps.push(action);
                world = next;
                let is_new = seen.insert(fingerprint(&world));
                if let Some(invariant) = is_new.then(|| world.check(&self.rules)).flatten() {
                    let found = Some((invariant, self.shorten(steps)));
                    return Explored { states: seen.len(), depth: WALK_STEPS, took: began.elapsed(), found };
                }
            }
        }
        Explored { states: seen.len(), depth: WALK_STEPS, took: began.elapsed(), found: None }
    }

    /// Leaves out the steps without which an invariant is broken as well.
    fn shorten(&self, mut steps: Vec<Action>) -> Vec<Action> {
        let mut index = 0;
        while index < steps.len() {
            let mut fewer = steps.clone();
            fewer.remove(index);
            if self.breaks(&fewer) {
                steps = fewer;
            } else {
                index += 1;
            }
        }
        steps
    }

    /// Whether these steps are possible and end in a broken invariant.
    fn breaks(&self, steps: &[Action]) -> bool {
        let mut world = self.start();
        for action in steps {
            if !world.actions(&self.rules, &self.shapes).contains(action) {
                return false;
            }
            let Some(next) = world.after(&self.rules, *action) else { return false };
            world = next;
        }
        world.check(&self.rules).is_some()
    }
}

fn path(origins: &[Option<(usize, Action)>], end: usize) -> Vec<Action> {
    let mut steps = vec![];
    let mut at = end;
    while let Some((before, action)) = origins[at] {
        steps.push(action);
        at = before;
    }
    steps.reverse();
    steps
}
