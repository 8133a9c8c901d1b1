//! Very many concurrent requests to a destination that takes a second.

use std::time::Duration;

use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;

use crate::arguments::Arguments;
use crate::measure::{self, Load, Target};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer) -> Rows {
    let sink = QuickSink::start(SECOND);
    let in_flight = arguments.in_flight.unwrap_or(10_000);
    // The destination's window opens with its responses, so the first waves are smaller.
    let load = Load { jobs: arguments.jobs.max(12 * in_flight), in_flight, warm_up: 4 * in_flight };
    let rounds: Vec<_> = (0..arguments.rounds)
        .map(|round| {
            let measurement = measure::run(Variant::Lean, redis, &Target::of(&sink), load);
            eprintln!("round {} of {}: {measurement}", round + 1, arguments.rounds);
            measurement
        })
        .collect();
    let mut rows = Rows::new(&["in flight", "jobs/s", "CPU µs/job", "RSS MiB"]);
    rows.rows.push(vec![
        in_flight.to_string(),
        Summary::of(rounds.iter().map(|round| round.jobs_per_second)).text(0),
        Summary::of(rounds.iter().map(|round| round.cpu)).text(1),
        Summary::of(rounds.iter().map(|round| round.memory)).text(0),
    ]);
    rows
}
