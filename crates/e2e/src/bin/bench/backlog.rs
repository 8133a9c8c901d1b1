//! Whether a job costs the same when a thousand times as many jobs wait.

use std::time::{Duration, Instant};

use e2e::drain::{self, STREAM};
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::resp::Connection;
use e2e::wait;

use crate::arguments::Arguments;
use crate::process;
use crate::running::{PATIENCE, Running};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

const JOBS_FEW: usize = 1_000;
const JOBS_MANY: usize = 1_000_000;

/// Both measure the same number of jobs: a thousand at a time, and the first of a million.
pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let in_flight = arguments.in_flight.unwrap_or(64);
    let jobs = arguments.jobs.min(JOBS_MANY / 2);
    let mut measured = [const { Vec::new() }; 2];
    for round in 0..arguments.rounds {
        for (index, measure) in [few, many].into_iter().enumerate() {
            let mut connection = redis.connect();
            drain::preload(
                &mut connection,
                STREAM,
                &[sink.url()],
                if index == 0 { JOBS_FEW } else { JOBS_MANY },
            );
            let running = Variant::Lean.start(&redis.url(), in_flight, 0);
            let (time, cpu) = measure(&mut connection, &running, sink, jobs);
            let [speed, cost] = [jobs as f64 / time.as_secs_f64(), cpu.as_secs_f64() * 1e6 / jobs as f64];
            eprintln!("round {} of {}: {speed:.0} jobs/s, {cost:.1} µs/job", round + 1, arguments.rounds);
            measured[index].push((speed, cost));
        }
    }
    drain::command(&mut redis.connect(), &["FLUSHALL"]);
    let mut rows = Rows::new(&["jobs ready", "jobs/s", "CPU µs/job"]);
    for (ready, measured) in [JOBS_FEW, JOBS_MANY].into_iter().zip(measured) {
        let speed = Summary::of(measured.iter().map(|(speed, _)| *speed));
        let cost = Summary::of(measured.iter().map(|(_, cost)| *cost));
        rows.rows.push(vec![ready.to_string(), speed.text(0), cost.text(1)]);
    }
    rows
}

/// The time and the processor time of `jobs` jobs, a thousand at a time. The preloaded jobs are the warm-up.
fn few(
    connection: &mut Connection,
    running: &Running,
    sink: &QuickSink,
    jobs: usize,
) -> (Duration, Duration) {
    drained_to(connection, running, 0);
    let before = process::usage(running.process()).time;
    let mut time = Duration::ZERO;
    for _ in 0..jobs.div_ceil(JOBS_FEW) {
        drain::add(connection, STREAM, &[sink.url()], JOBS_FEW);
        let start = Instant::now();
        drained_to(connection, running, 0);
        time += start.elapsed();
    }
    // The last batch is full, too: a smaller one would measure something else. Scale to `jobs`.
    let share = jobs as f64 / (jobs.div_ceil(JOBS_FEW) * JOBS_FEW) as f64;
    (time.mul_f64(share), (process::usage(running.process()).time - before).mul_f64(share))
}

fn many(connection: &mut Connection, running: &Running, _: &QuickSink, jobs: usize) -> (Duration, Duration) {
    drained_to(connection, running, JOBS_MANY - JOBS_FEW);
    let (start, before) = (Instant::now(), process::usage(running.process()).time);
    drained_to(connection, running, JOBS_MANY - JOBS_FEW - jobs);
    (start.elapsed(), process::usage(running.process()).time - before)
}

/// Polls more often than [`wait`] does.
fn drained_to(connection: &mut Connection, running: &Running, left: usize) {
    let end = Instant::now() + PATIENCE;
    while drain::left(connection) > left {
        assert!(!process::usage(running.process()).ended, "the worker ended:\n{}", running.log());
        assert!(Instant::now() < end, "the worker has stalled:\n{}", running.log());
        wait::unless_interrupted(Duration::from_millis(1));
    }
}
