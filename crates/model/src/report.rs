//! Runs of the model, and their tables.

mod planted;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::faults::Kind;
use crate::scripts::Sources;
use crate::search::{Explored, Search};
use crate::small::{self, Bounds, Small};
use crate::story;
use crate::world::{JOBS, Rules, Shape};
use crate::{keys, limits, lines, notices, ticks};

pub use planted::mutate;

/// The jobs of a run.
const SHAPES: [[Shape; 2]; 2] = [[Shape::Limited, Shape::Result], [Shape::Delayed, Shape::Expiring]];
/// Half leases that pass in a run at most.
const TICKS_MAX: u8 = 8;
/// A depth that no run reaches.
const DEPTH_MAX: usize = 40;
/// How many states a run of the short test explores.
const STATES_SHORT: usize = 60;
/// How many states a random walk explores, for each state of another run.
const WALKS: usize = 15;

/// One line of a table.
#[derive(Clone, Debug)]
struct Row {
    faults: Vec<Kind>,
    states: usize,
    /// The smallest depth that all runs have reached.
    depth: usize,
    took: Duration,
    /// Whether there are no other states.
    is_whole: bool,
    stories: Vec<String>,
}

impl Row {
    fn print(&self, name: &str, what: &str) {
        if self.states == 0 {
            return;
        }
        let all = if self.is_whole { ": every state" } else { "" };
        println!("| {name} | {} | {what}{}{all} | {:.1} |", self.states, self.depth, self.took.as_secs_f64());
    }

    /// The rows of several runs in one.
    fn sum(rows: &[&Row]) -> Row {
        Row {
            faults: vec![],
            states: rows.iter().map(|row| row.states).sum(),
            depth: rows.iter().map(|row| row.depth).min().unwrap_or(0),
            took: rows.iter().map(|row| row.took).sum(),
            is_whole: rows.iter().all(|row| row.is_whole),
            stories: vec![],
        }
    }
}

/// No fault, each kind alone, and, with the time for it, each pair.
fn sets(kinds: &[Kind], states_max: usize) -> Vec<Vec<Kind>> {
    let mut sets: Vec<Vec<Kind>> = vec![vec![]];
    sets.extend(kinds.iter().map(|kind| vec![*kind]));
    if states_max < usize::MAX {
        return sets;
    }
    for (index, one) in kinds.iter().enumerate() {
        sets.extend(kinds[index + 1..].iter().map(|other| vec![*one, *other]));
    }
    sets
}

/// Explores each kind of fault alone, each pair, and all together by random walks, for a time. Prints a table. `only`: in the
/// worlds whose names contain this text.
///
/// # Errors
/// The counterexamples, in words.
pub fn explore(time: Duration, seed: u64, only: Option<&str>) -> Result<(), String> {
    of_all(time, usize::MAX, seed, only)
}

/// Explores each kind of fault alone and all together by random walks: the same states on every machine.
///
/// # Errors
/// The counterexamples, in words.
pub fn explore_shortly() -> Result<(), String> {
    of_all(Duration::from_secs(3600), STATES_SHORT, 1, None)
}

/// The worlds, and the part of the time that each gets, in hundredths.
const WORLDS: [(&str, u32); 6] = [
    ("jobs", 50),
    ("keys and shards", 4),
    ("flow", 11),
    ("periodic jobs", 11),
    ("lines and callbacks", 22),
    ("notices", 2),
];

/// Explores for a time, and at most `states_max` states in a run. With that, no pairs of faults.
fn of_all(time: Duration, states_max: usize, seed: u64, only: Option<&str>) -> Result<(), String> {
    println!("| faults | states | every order of steps up to | s |\n|---|---|---|---|");
    let worlds: Vec<_> =
        WORLDS.into_iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only))).collect();
    let shares: u32 = worlds.iter().map(|(_, share)| share).sum();
    let mut rows = vec![];
    for (name, share) in worlds {
        rows.extend(of_world(name, time * share / shares, states_max, seed));
    }
    println!("{} states in all", rows.iter().map(|row| row.states).sum::<usize>());
    let stories: Vec<String> = rows.into_iter().flat_map(|row| row.stories).collect();
    if stories.is_empty() { Ok(()) } else { Err(stories.join("\n")) }
}

fn of_world(name: &str, time: Duration, states_max: usize, seed: u64) -> Vec<Row> {
    match name {
        "keys and shards" => of_keys(time, states_max).into_iter().collect(),
        "flow" => {
            let starts = limits::LIMITS.map(|own| move |faults: &[Kind]| limits::Limits::start(own, faults));
            of_small(name, &limits::FAULTS, &starts, time, states_max, seed)
        }
        "periodic jobs" => {
            let start = |shape| move |faults: &[Kind]| ticks::Ticks::start(shape, faults, &Sources::new(&[]));
            let starts: Vec<_> = (0..ticks::SHAPES.len()).map(start).collect();
            of_small(name, &ticks::FAULTS, &starts, time, states_max, seed)
        }
        "lines and callbacks" => {
            let start = |stops| move |faults: &[Kind]| lines::Lines::start(stops, faults, &Sources::new(&[]));
            of_small(name, &lines::FAULTS, &lines::SHAPES.map(start), time, states_max, seed)
        }
        "notices" => of_small(name, &notices::FAULTS, &[notices::Notices::start], time, states_max, seed),
        _ => of_jobs(time, states_max, seed),
    }
}

/// Runs of the world of jobs.
fn of_jobs(time: Duration, states_max: usize, seed: u64) -> Vec<Row> {
    let sets = sets(&Kind::ALL, states_max);
    let runs = u32::try_from(sets.len() * SHAPES.len()).unwrap_or(u32::MAX);
    // A third of the time is for random walks.
    let each = time * 2 / 3 * threads() / runs;
    let mut rows = in_parallel(&sets, |faults| {
        let explored = SHAPES.map(|shapes| search(faults, shapes, each, states_max).run());
        row(faults, &explored)
    });
    rows[0].print("none", "");
    for kind in Kind::ALL {
        let own = |row: &&Row| row.faults.contains(&kind) && row.faults.len() == 2;
        let alone = rows.iter().find(|row| row.faults == [kind]);
        alone.into_iter().for_each(|row| row.print(kind.text(), ""));
        let pairs: Vec<&Row> = rows.iter().filter(own).collect();
        Row::sum(&pairs).print(&format!("{} and one other kind", kind.text()), "");
    }
    for (name, length) in [("each kind alone", 1), ("each pair", 2)] {
        let own: Vec<&Row> = rows.iter().filter(|row| row.faults.len() == length).collect();
        Row::sum(&own).print(&format!("{name}: {} runs", own.len()), "");
    }
    let walks = in_parallel(&SHAPES, |shapes| {
        let states = states_max.saturating_mul(WALKS);
        row(&Kind::ALL, &[search(&Kind::ALL, *shapes, time / 3 / 2 * threads(), states).walk(seed)])
    });
    Row::sum(&walks.iter().collect::<Vec<_>>()).print("all together", "random walks of ");
    rows.extend(walks);
    rows
}

fn row(faults: &[Kind], explored: &[Explored]) -> Row {
    Row {
        faults: faults.to_vec(),
        states: explored.iter().map(|explored| explored.states).sum(),
        depth: explored.iter().map(|explored| explored.depth).min().unwrap_or(0),
        took: explored.iter().map(|explored| explored.took).sum(),
        is_whole: false,
        stories: explored.iter().filter_map(story_of).collect(),
    }
}

/// The run of the world of idempotency keys.
fn of_keys(time: Duration, states_max: usize) -> Option<Row> {
    let bounds = Bounds { time, states_max: states_max.saturating_mul(2 * WALKS) };
    let row = small_row(&[], &[small::explore(&keys::Keys::start(), &Sources::new(&[]), bounds)]);
    row.print("keys and shards", "");
    Some(row)
}

/// Runs of a small world with these faults.
fn of_small<S: Small>(
    name: &str,
    kinds: &[Kind],
    starts: &[impl Fn(&[Kind]) -> S + Sync],
    time: Duration,
    states_max: usize,
    seed: u64,
) -> Vec<Row> {
    let sets = sets(kinds, states_max);
    let runs = u32::try_from(sets.len() * starts.len()).unwrap_or(u32::MAX);
    let bounds = Bounds { time: time * 2 / 3 * threads() / runs, states_max: states_max.div_ceil(2) };
    let mut rows = in_parallel(&sets, |faults| {
        let sources = Sources::new(&[]);
        let explored: Vec<_> =
            starts.iter().map(|start| small::explore(&start(faults), &sources, bounds)).collect();
        small_row(faults, &explored)
    });
    for (what, length) in [("none", 0), ("each kind alone", 1), ("each pair", 2)] {
        let own: Vec<&Row> = rows.iter().filter(|row| row.faults.len() == length).collect();
        Row::sum(&own).print(&format!("{name}: {what}"), "");
    }
    let share = u32::try_from(starts.len()).unwrap_or(1);
    let walks = in_parallel(starts, |start| {
        let states_max = states_max.saturating_mul(WALKS / 3);
        let bounds = Bounds { time: time / 3 * threads() / share, states_max };
        small_row(kinds, &[small::walk(&start(kinds), &Sources::new(&[]), bounds, seed)])
    });
    let all: Vec<&Row> = walks.iter().collect();
    Row::sum(&all).print(&format!("{name}: all together"), "random walks of ");
    rows.extend(walks);
    rows
}

fn small_row(faults: &[Kind], explored: &[small::Explored]) -> Row {
    let stories = explored.iter().filter_map(|explored| explored.found.as_ref());
    Row {
        faults: faults.to_vec(),
        states: explored.iter().map(|explored| explored.states).sum(),
        depth: explored.iter().map(|explored| explored.depth).min().unwrap_or(0),
        took: explored.iter().map(|explored| explored.took).sum(),
        is_whole: explored.iter().all(|explored| explored.is_whole),
        stories: stories.map(|found| found.story.clone()).collect(),
    }
}

/// How many runs there are at once.
fn threads() -> u32 {
    thread::available_parallelism().map_or(1, |threads| u32::try_from(threads.get()).unwrap_or(1))
}

/// The results of a function, in the order of its arguments.
fn in_parallel<T: Sync, R: Send>(all: &[T], run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = vec![];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(index) else { return done };
            done.push((index, run(one)));
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads()).map(|_| scope.spawn(work)).collect();
        handles.into_iter().flat_map(|handle| handle.join().expect("a run does not panic")).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
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

fn story_of(explored: &Explored) -> Option<String> {
    let (invariant, steps) = explored.found.as_ref()?;
    Some(story::in_words(*invariant, steps))
}
