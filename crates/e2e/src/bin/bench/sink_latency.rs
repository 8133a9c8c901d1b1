//! Throughput by requests in flight, for destinations with different latencies.

use std::time::Duration;

use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;

use crate::arguments::Arguments;
use crate::measure::{self, Load, Target};
use crate::plot::{self, Line};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

const IN_FLIGHT: [usize; 6] = [1, 4, 16, 64, 256, 1024];
/// The approximate duration of a run when the destination is the bottleneck.
const SECONDS: f64 = 3.0;
/// The approximate jobs per second of the worker to a destination without latency, with many requests in
/// flight and with one.
const JOBS_PER_SECOND_MAX: f64 = 10_000.0;
const ALONE_A_SECOND: f64 = 2_000.0;

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, latencies: &[u64]) -> Rows {
    let mut rows = Rows::new(&["sink ms", "in flight", "jobs/s", "of what is possible"]);
    let mut lines = Vec::new();
    for latency in latencies {
        let sink = QuickSink::start(Duration::from_millis(*latency));
        let mut line = Line { name: format!("{latency} ms"), points: Vec::new() };
        for in_flight in IN_FLIGHT {
            let possible = in_flight as f64 * 1e3 / *latency as f64;
            let jobs =
                (possible.min(JOBS_PER_SECOND_MAX).min(ALONE_A_SECOND * in_flight as f64) * SECONDS) as usize;
            let load = Load { jobs: jobs.max(20), in_flight, warm_up: jobs / 2 };
            let speed = Summary::of((0..arguments.rounds).map(|_| {
                let measurement = measure::run(Variant::Lean, redis, &Target::of(&sink), load);
                eprintln!("{latency} ms, {in_flight} in flight: {measurement}");
                measurement.jobs_per_second
            }));
            let share =
                if *latency == 0 { "–".to_owned() } else { format!("{:.2}", speed.median / possible) };
            rows.rows.push(vec![latency.to_string(), in_flight.to_string(), speed.text(0), share]);
            line.points.push((in_flight as f64, speed.median));
        }
        lines.push(line);
    }
    if let Some(path) = &arguments.plot {
        let svg = plot::svg("requests in flight", "jobs a second", &lines);
        std::fs::write(path, svg).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        eprintln!("the plot is {}", path.display());
    }
    rows
}
