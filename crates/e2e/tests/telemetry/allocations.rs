//! Tests that a job costs no more allocations than before: one job at a time, so that all runs are alike.

use std::ffi::OsString;

use e2e::drain::{Drain, Late};
use e2e::otlp::Receiver;
use e2e::redis::RedisServer;

/// Allocations of a job without telemetry, either not compiled in or switched off. It may be lowered.
const WITHOUT_TELEMETRY: f64 = 90.5;
/// Allocations of a job on the worker's thread with every span recorded. It may be lowered.
const WITH_TELEMETRY: f64 = 123.5;

const JOBS: [usize; 2] = [300, 1300];
/// Rare events, such as a reply in two parts, only add to a run: so one of several runs must be within the bound.
/// Runs differ by 0.2.
const RUNS: usize = 5;

fn assert_at_most(variable: &str, environment: &[(&str, &str)], bound: f64) {
    let program = std::env::var_os(variable).filter(|path| !path.is_empty());
    let program: OsString =
        program.unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask test`, which builds it"));
    let redis = RedisServer::start();
    let late = Late::new(&redis);
    let drain = Drain { program: &[program], environment, in_flight: 1, late: &late };
    let count = |output: &str| output.trim().parse().expect("the program writes a number");
    let mut measured = Vec::new();
    for _ in 0..RUNS {
        let a_job = drain.per_job(&redis, JOBS, count);
        measured.push(a_job);
        if a_job <= bound {
            println!("{measured:.2?} allocations a job");
            return;
        }
    }
    panic!("{measured:.2?} allocations a job; at most {bound} were agreed on");
}

#[test]
fn the_lean_worker_allocates_no_more_for_a_job() {
    assert_at_most("POSTRIDER_LEAN_ALLOCATIONS_BIN", &[], WITHOUT_TELEMETRY);
}

#[test]
fn telemetry_switched_off_allocates_nothing() {
    assert_at_most("POSTRIDER_OTEL_ALLOCATIONS_BIN", &[], WITHOUT_TELEMETRY);
}

#[test]
fn telemetry_allocates_no_more_for_a_job() {
    let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
    let endpoint = receiver.grpc_endpoint();
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
    ];
    assert_at_most("POSTRIDER_OTEL_ALLOCATIONS_BIN", &environment, WITH_TELEMETRY);
    assert!(receiver.requests() > 0, "what was recorded was sent");
}
