//! Replays runs of the model against a real worker and a real Redis, and compares what can be seen after each event: where each
//! job is, how many requests have arrived, how many attempts a dead letter counts, and how many results are kept.
//!
//! One worker runs at a time, so that it is known which one has a job. Times differ: what the model waits for in ticks, the real
//! world does in its own time, and is compared when nothing is left to wait for.

mod destination;
mod real;

use std::fmt::Write;

use fastrand::Rng;

use crate::world::{Event, Track};
use real::Real;

/// How many events follow one another, before all jobs are brought to an end.
const EVENTS: usize = 14;

/// Replays that number of runs. Returns how many events were compared.
///
/// # Errors
/// The events that lead to a difference.
///
/// # Panics
/// If there is no Redis or no worker.
pub fn replay(seed: u64, runs: u64) -> Result<usize, String> {
    let mut compared = 0;
    for run in 0..runs {
        compared += replay_one(seed.wrapping_add(run)).map_err(|story| format!("run {run}\n{story}"))?;
    }
    Ok(compared)
}

fn replay_one(seed: u64) -> Result<usize, String> {
    let (mut rng, mut track, mut real) = (Rng::with_seed(seed), Track::start(), Real::start());
    let (mut story, mut count) = (String::new(), 0);
    let mut both = |track: &mut Track, real: &mut Real, event: Event| {
        writeln!(story, "{event:?}").map_err(|error| error.to_string())?;
        track.happen(event);
        real.happen(event);
        count += 1;
        real.wait_for(&track.seen())
            .map_err(|seen| format!("{story}the model: {:?}\nreally:    {seen}", track.seen()))
    };
    for _ in 0..EVENTS {
        let events = track.events();
        both(&mut track, &mut real, events[rng.usize(..events.len())])?;
    }
    while let Some(event) = track.ends() {
        both(&mut track, &mut real, event)?;
    }
    Ok(count)
}
