//! The time from a worker's start to its first request.

use std::time::{Duration, Instant};

use e2e::drain::{self, STREAM};
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;

use crate::arguments::Arguments;
use crate::process;
use crate::running::PATIENCE;
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

/// Starts per round.
const STARTS: usize = 10;

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let mut rows = Rows::new(&["", "ms to the first request"]);
    for variant in [Variant::Bare, Variant::Lean, Variant::OtelOff, Variant::OtelOn] {
        let starts = (0..STARTS * arguments.rounds).map(|_| start(variant, redis, sink).as_secs_f64() * 1e3);
        rows.rows.push(vec![variant.to_string(), Summary::of(starts).text(1)]);
    }
    rows
}

fn start(variant: Variant, redis: &RedisServer, sink: &QuickSink) -> Duration {
    drain::preload(&mut redis.connect(), STREAM, &[sink.url()], 1);
    let before = sink.requests();
    let (running, began) = variant.start_timed(&redis.url(), 64, 1);
    while sink.requests() == before {
        assert!(began.elapsed() < PATIENCE, "{variant} sends nothing:\n{}", running.log());
        // The bare loop exits after its one job.
        let ended = process::usage(running.process()).ended && sink.requests() == before;
        assert!(!ended, "{variant} ended:\n{}", running.log());
        std::thread::sleep(Duration::from_micros(200));
    }
    Instant::now() - began
}
