//! The stack of compose.yaml, tested from outside: what the sink got, what the receiver of traces got, what the engine
//! says of the containers, while parts of it are stopped.
//!
//! `cargo xtask test-stack` builds the images and runs it. It has a compose project and ports of its own, so it
//! disturbs no stack that runs, and removes everything it started, whichever way it ends.

mod engine;
mod jobs;
mod scenes;
mod traces;

use std::process::ExitCode;
use std::time::Instant;

use engine::Stack;

type Scene = fn(&mut Stack);

const SCENES: [(&str, Scene); 11] = [
    ("without telemetry, and then with Jaeger, by the documented commands", scenes::jaeger),
    ("with the Collector, one trace for each job", scenes::collector),
    ("a failure that comes late is kept where few traces are", scenes::late_failure),
    ("the containers are closed", scenes::closed),
    ("Prometheus has what the dashboard asks for", scenes::metrics),
    ("Redis stops and comes back", scenes::redis_stops),
    ("the Collector stops and comes back", scenes::collector_stops),
    ("three workers share the load", scenes::share),
    ("one of three workers dies, another is stopped", scenes::workers_stop),
    ("the lean image, without telemetry", scenes::lean),
    ("nothing is left", scenes::end),
];

fn main() -> ExitCode {
    e2e::program::run("test-stack", play)
}

fn play() {
    let mut stack = Stack::new();
    for (name, scene) in SCENES {
        let start = Instant::now();
        eprintln!("test-stack: {name} …");
        scene(&mut stack);
        eprintln!("test-stack: {name}: ok ({:.1} s)", start.elapsed().as_secs_f64());
    }
    println!("test-stack: {} scenes passed", SCENES.len());
}
