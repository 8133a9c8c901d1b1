//! Faults found in use, at full size: `cargo xtask cases` runs them, one after another, and prints a table of them.
//!
//! Each scenario starts its own servers, and panics with a sentence where an expectation fails. Scaled forms are in the
//! tests of the worker. Arguments select the scenarios whose names contain one of them; `--list` only prints them.

mod bytes;
mod cluster;
mod destinations;
mod flows;
mod queues;
mod shared;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use e2e::process::Build;

/// A scenario.
struct Case {
    /// One word after another, as in a test.
    name: &'static str,
    /// What happens to the worker.
    does: &'static str,
    /// What must come of it.
    expects: &'static str,
    run: fn(),
}

/// The worker of all scenarios: none is about telemetry.
const BUILD: Build = Build::Lean;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|argument| *argument != "--list").collect();
    let is_listed = filters.len() < arguments.len();
    let is_chosen =
        |case: &&Case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter.as_str()));
    let all = [shared::CASES, flows::CASES, queues::CASES, destinations::CASES, cluster::CASES, bytes::CASES];
    let chosen: Vec<&Case> = all.into_iter().flatten().filter(is_chosen).collect();
    let mut failed = 0;
    for case in &chosen {
        println!("{}\n  {}\n  must: {}", case.name, case.does, case.expects);
        if !is_listed && !passes(case) {
            failed += 1;
        }
    }
    if is_listed {
        return ExitCode::SUCCESS;
    }
    println!("\n{} of {} cases passed", chosen.len() - failed, chosen.len());
    if failed == 0 && !chosen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a scenario; the panic of a failure is printed by the standard hook.
fn passes(case: &Case) -> bool {
    let began = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(case.run));
    let verdict = if result.is_ok() { "passed" } else { "FAILED" };
    println!("  {verdict} in {:.1} s", began.elapsed().as_secs_f64());
    result.is_ok()
}
