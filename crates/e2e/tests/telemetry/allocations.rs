//! Tests that a job costs no more allocations than before: one job at a time, so that all runs are alike.

use std::ffi::OsString;

use e2e::drain::Drain;
use e2e::late::Late;
use e2e::otlp::Receiver;
use e2e::redis::RedisServer;

/// Allocations of a job without telemetry, either not compiled in or switched off. It may be lowered.
const WITHOUT_TELEMETRY: f64 = 74.0;
/// The same to a destination with TLS, on a connection that stays open.
const WITH_TLS: f64 = 77.5;
/// The same where the job is held once before its attempt.
const HELD: f64 = 230.0;
/// Allocations of a job on the worker's thread with every span recorded. It may be lowered.
const WITH_TELEMETRY: f64 = 97.0;

const OTEL: &str = "POSTRIDER_OTEL_ALLOCATIONS_BIN";

/// Rare events, such as a reply in two parts, only add to a run: so one of several runs must be within the bound.
/// Runs differ by 0.2.
const RUNS: usize = 5;

/// A program that counts, and what it does.
struct Case<'a> {
    /// The variable with its path.
    program: &'a str,
    environment: &'a [(&'a str, &'a str)],
    destination: fn(&RedisServer) -> Late,
    is_held: bool,
    bound: f64,
}

const LEAN: Case = Case {
    program: "POSTRIDER_LEAN_ALLOCATIONS_BIN",
    environment: &[],
    destination: Late::new,
    is_held: false,
    bound: WITHOUT_TELEMETRY,
};

fn check(case: &Case) {
    let program = std::env::var_os(case.program).filter(|path| !path.is_empty());
    let program: OsString =
        program.unwrap_or_else(|| panic!("{} is not set: run `cargo xtask test`", case.program));
    let redis = RedisServer::start();
    let late = (case.destination)(&redis);
    let Case { environment, is_held, bound, .. } = *case;
    let drain = Drain { program: &[program], environment, in_flight: 1, late: &late, is_held };
    let count = |output: &str| output.trim().parse().expect("the program writes a number");
    let mut measured = Vec::new();
    for _ in 0..RUNS {
        let a_job = drain.per_job(&redis, count);
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
    check(&LEAN);
}

#[test]
fn the_lean_worker_allocates_no_more_for_a_job_over_tls() {
    check(&Case { destination: Late::secure, bound: WITH_TLS, ..LEAN });
}

#[test]
fn the_lean_worker_allocates_no_more_for_a_held_job() {
    check(&Case { is_held: true, bound: HELD, ..LEAN });
}

#[test]
fn telemetry_switched_off_allocates_nothing() {
    check(&Case { program: OTEL, ..LEAN });
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
    check(&Case { program: OTEL, environment: &environment, bound: WITH_TELEMETRY, ..LEAN });
    assert!(receiver.requests() > 0, "what was recorded was sent");
}
