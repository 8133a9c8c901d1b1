//! Runs of the model, and their tables.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::keys;
use crate::mutations;
use crate::scripts::Sources;
use crate::search::{Explored, Search};
use crate::story;
use crate::world::{JOBS, Kind, Rules, Shape};

/// The jobs of a run.
const SHAPES: [[Shape; 2]; 2] = [[Shape::Limited, Shape::Plain], [Shape::Delayed, Shape::Limited]];
/// Half leases that pass in a run at most.
const TICKS_MAX: u8 = 8;
/// A depth that no run reaches.
const DEPTH_MAX: usize = 40;

/// How many states the random walks explore, for each state of another run, and how many the run of keys does.
const WALKS: usize = 30;
const KEYS: usize = 50;

/// Explores each kind of fault alone, each pair, and all together by random walks, for a time, and at most `states_max` states in
/// a run. Prints a table.
///
/// # Errors
/// The counterexamples, in words.
pub fn explore(time: Duration, states_max: usize, seed: u64) -> Result<(), String> {
    let mut sets: Vec<Vec<Kind>> = vec![vec![]];
    sets.extend(Kind::ALL.map(|kind| vec![kind]));
    for (index, one) in Kind::ALL.iter().enumerate() {
        sets.extend(Kind::ALL[index + 1..].iter().map(|other| vec![*one, *other]));
    }
    // A third of the time is for random walks.
    let runs = u32::try_from(sets.len() * SHAPES.len()).unwrap_or(u32::MAX);
    let mut failures = vec![];
    println!("| faults | states | all interleavings of steps | s |\n|---|---|---|---|");
    let mut all = 0;
    for faults in &sets {
        let began = Instant::now();
        let explored = SHAPES.map(|shapes| search(faults, shapes, time * 2 / 3 / runs, states_max).run());
        let (states, depth) = sums(&explored);
        all += states;
        println!("| {} | {states} | {depth} | {:.1} |", named(faults), began.elapsed().as_secs_f64());
        failures.extend(explored.iter().filter_map(story_of));
    }
    let began = Instant::now();
    let walks = SHAPES
        .map(|shapes| search(&Kind::ALL, shapes, time / 3 / 2, states_max.saturating_mul(WALKS)).walk(seed));
    let (states, depth) = sums(&walks);
    println!("| all, random walks | {states} | walks of {depth} | {:.1} |", began.elapsed().as_secs_f64());
    let keys = keys::explore(&Sources::new(&[]), 4, time / 10, states_max.saturating_mul(KEYS));
    let whole = if keys.is_whole { "all states" } else { "a part" };
    println!(
        "| keys and shards | {} | {}, {whole} | {:.1} |",
        keys.states,
        keys.depth,
        keys.took.as_secs_f64()
    );
    println!("{} states in all", all + states + keys.states);
    failures.extend(keys.found);
    failures.extend(walks.iter().filter_map(story_of));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Looks for each planted fault, and prints a table. Returns how many there are.
///
/// # Errors
/// The names of those that were not found.
pub fn mutate(time: Duration) -> Result<usize, String> {
    let mut survivors = vec![];
    println!("| planted fault | found by | steps | states | s |\n|---|---|---|---|---|");
    for mutation in &mutations::ALL {
        let Explored { states, took, found, .. } = mutation.find(time);
        let seconds = took.as_secs_f64();
        match found {
            Some((invariant, steps)) => {
                let name = invariant.text().split(':').next().unwrap_or_default();
                println!("| {} | {name} | {} | {states} | {seconds:.1} |", mutation.name, steps.len());
            }
            None => {
                println!("| {} | NOT FOUND | | {states} | {seconds:.1} |", mutation.name);
                survivors.push(mutation.name);
            }
        }
    }
    for (name, script, from, to) in keys::MUTATIONS {
        let found = keys::explore(&Sources::new(&[(script, from, to)]), 4, time, usize::MAX);
        let (states, seconds) = (found.states, found.took.as_secs_f64());
        match found.found {
            Some(_) => println!("| {name} | key | {} | {states} | {seconds:.1} |", found.depth + 1),
            None => {
                println!("| {name} | NOT FOUND | | {states} | {seconds:.1} |");
                survivors.push(name);
            }
        }
    }
    if survivors.is_empty() {
        Ok(mutations::ALL.len() + keys::MUTATIONS.len())
    } else {
        Err(survivors.join("\n"))
    }
}

fn search(faults: &[Kind], shapes: [Shape; 2], time: Duration, states_max: usize) -> Search {
    let rules = Rules {
        sources: Arc::new(Sources::new(&[])),
        slip: None,
        ticks_max: TICKS_MAX,
        jobs: JOBS,
        calm: Rc::default(),
    };
    Search { rules, faults: faults.to_vec(), each: 1, shapes, depth: DEPTH_MAX, time, states_max }
}

/// The states of several runs, and the smallest depth that all have reached.
fn sums(explored: &[Explored]) -> (usize, usize) {
    let states = explored.iter().map(|explored| explored.states).sum();
    (states, explored.iter().map(|explored| explored.depth).min().unwrap_or(0))
}

fn story_of(explored: &Explored) -> Option<String> {
    let (invariant, steps) = explored.found.as_ref()?;
    Some(story::in_words(*invariant, steps))
}

fn named(faults: &[Kind]) -> String {
    let names: Vec<&str> = faults.iter().map(|kind| kind.text()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
