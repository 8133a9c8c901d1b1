//! Tests the stack of compose.yaml from outside: reads the sink's log, the trace receiver's spans and the
//! engine's state of the containers while parts of the stack are stopped.
//!
//! `cargo xtask test-stack` builds the images and runs it. It has its own compose project and ports, so it
//! does not disturb a running stack. It removes everything it started, however it ends.

mod engine;
mod jobs;
mod scenarios;
mod traces;

use std::process::ExitCode;
use std::time::Instant;

use engine::Stack;

type Scene = fn(&mut Stack);

const SCENARIOS: [(&str, Scene); 11] = [
    ("without telemetry, and then with Jaeger, by the documented commands", scenarios::jaeger),
    ("with the Collector, one trace for each job", scenarios::collector),
    ("a late failure is kept when few traces are", scenarios::late_failure),
    ("the containers are closed", scenarios::closed),
    ("Prometheus has what the dashboard asks for", scenarios::metrics),
    ("Redis stops and comes back", scenarios::redis_stops),
    ("the Collector stops and comes back", scenarios::collector_stops),
    ("three workers share the load", scenarios::share),
    ("one of three workers dies, another is stopped", scenarios::workers_stop),
    ("the lean image, without telemetry", scenarios::lean),
    ("nothing is left", scenarios::end),
];

fn main() -> ExitCode {
    e2e::program::run("test-stack", play)
}

fn play() {
    let mut stack = Stack::new();
    for (name, scenario) in SCENARIOS {
        let start = Instant::now();
        eprintln!("test-stack: {name} …");
        scenario(&mut stack);
        eprintln!("test-stack: {name}: ok ({:.1} s)", start.elapsed().as_secs_f64());
    }
    println!("test-stack: {} scenarios passed", SCENARIOS.len());
}
