//! The table of planted faults.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::in_parallel;
use crate::mutations::{self, Outcome, Planted};

/// What has found the faults of one world: how many, by how few and by how many steps, after how many states at most.
#[derive(Default)]
struct Finder {
    faults: usize,
    steps: Vec<usize>,
    states_max: usize,
}

/// Looks for each planted fault, for some time at most, and prints a table; the steps to one that is named. `only`: for those whose
/// names contain this text. Returns how many there are.
///
/// # Errors
/// The names of those that were not found.
pub fn mutate(time: Duration, only: Option<&str>) -> Result<usize, String> {
    let began = Instant::now();
    println!("| planted fault | found by | steps | states | s |\n|---|---|---|---|---|");
    let mut all = mutations::all();
    all.retain(|one| only.is_none_or(|only| one.name().contains(only)));
    let found = in_parallel(&all, |one| {
        let outcome = one.find(time);
        println!("{}", row(one, &outcome));
        outcome.story.iter().filter(|_| only == Some(one.name())).for_each(|story| println!("{story}"));
        outcome.found.map(|(invariant, steps)| (invariant, steps, outcome.states))
    });
    let (mut finders, mut survivors) = (BTreeMap::<(&str, String), Finder>::new(), vec![]);
    for (one, found) in all.iter().zip(found) {
        let Some((invariant, steps, states)) = found else {
            survivors.push(one.name());
            continue;
        };
        let finder = finders.entry((one.world(), invariant)).or_default();
        finder.faults += 1;
        finder.steps.push(steps);
        finder.states_max = finder.states_max.max(states);
    }
    println!("\n| world | found by | planted faults | steps | states at most |\n|---|---|---|---|---|");
    for ((world, invariant), Finder { faults, steps, states_max }) in finders {
        let (least, most) = (steps.iter().min().unwrap_or(&0), steps.iter().max().unwrap_or(&0));
        let steps = if least == most { least.to_string() } else { format!("{least} to {most}") };
        println!("| {world} | {invariant} | {faults} | {steps} | {states_max} |");
    }
    println!("{} faults in {} s", all.len(), began.elapsed().as_secs());
    if survivors.is_empty() { Ok(all.len()) } else { Err(survivors.join("\n")) }
}

fn row(planted: &Planted, outcome: &Outcome) -> String {
    let (name, states, seconds) = (planted.name(), outcome.states, outcome.took.as_secs_f64());
    match &outcome.found {
        Some((invariant, steps)) => format!("| {name} | {invariant} | {steps} | {states} | {seconds:.1} |"),
        None => format!("| {name} | NOT FOUND | | {states} | {seconds:.1} |"),
    }
}
