//! The cost of a worker without jobs, and how soon it starts the next job.

use std::time::{Duration, Instant};

use e2e::drain::command;
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::wait;

use crate::arguments::Arguments;
use crate::measure::{self, Latency};
use crate::process;
use crate::running::PATIENCE;
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

/// Long enough for work that a worker does once a second.
const IDLE: Duration = Duration::from_secs(10);
/// Jobs so far apart that each has to wake the worker.
const WAKES: usize = 20;
const PAUSE: Duration = Duration::from_millis(150);

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let mut rows = Rows::new(&["", "% of a core, idle", "wake p50 ms", "slowest wake ms"]);
    for variant in [Variant::Lean, Variant::OtelOn] {
        let rounds: Vec<_> = (0..arguments.rounds).map(|_| round(variant, redis, sink)).collect();
        rows.rows.push(vec![
            variant.to_string(),
            Summary::of(rounds.iter().map(|(percent, _)| *percent)).text(2),
            Summary::of(rounds.iter().map(|(_, wake)| wake.p50.as_secs_f64() * 1e3)).text(2),
            Summary::of(rounds.iter().map(|(_, wake)| wake.p99.as_secs_f64() * 1e3)).text(2),
        ]);
    }
    rows
}

fn round(variant: Variant, redis: &RedisServer, sink: &QuickSink) -> (f64, Latency) {
    let mut connection = redis.connect();
    command(&mut connection, &["FLUSHALL"]);
    let mut running = variant.start(&redis.url(), 64, 0);
    let arrives = |connection: &mut _| {
        let before = sink.requests();
        measure::enqueue(connection, sink);
        wait::eventually("a job arrives", PATIENCE, || (sink.requests() > before).then_some(()));
    };
    arrives(&mut connection);
    wait::unless_interrupted(Duration::from_secs(1));
    let (start, before) = (Instant::now(), process::usage(running.process()).time);
    wait::unless_interrupted(IDLE);
    let used = process::usage(running.process()).time - before;
    let percent = 100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64();
    sink.take_latencies();
    for _ in 0..WAKES {
        wait::unless_interrupted(PAUSE);
        arrives(&mut connection);
    }
    running.stop();
    let latency = Latency::of(sink.take_latencies());
    eprintln!("{variant}: {percent:.2} % of a core, {latency:?}");
    (percent, latency)
}
