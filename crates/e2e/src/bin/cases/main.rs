//! Faults found in use, at full size: `cargo xtask cases` runs them, one after another.
//!
//! Each scenario starts its own servers, and panics with a sentence where an expectation fails; otherwise it returns what
//! it has measured. Scaled forms are in the tests of the worker. Arguments select the scenarios whose names contain one of
//! them; `--list` only prints them.

mod bytes;
mod cluster;
mod command_line;
mod destinations;
mod flows;
mod limits;
mod names;
mod operation;
mod pace;
mod queues;
mod requests;
mod shared;
mod trust;

use std::any::Any;
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
    /// Returns what was measured.
    run: fn() -> String,
}

/// The worker of all scenarios except those about telemetry.
const BUILD: Build = Build::Lean;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|argument| *argument != "--list").collect();
    let is_listed = filters.len() < arguments.len();
    let is_chosen =
        |case: &&Case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter.as_str()));
    let all = [
        shared::CASES,
        names::CASES,
        flows::CASES,
        pace::CASES,
        limits::CASES,
        bytes::CASES,
        queues::CASES,
        cluster::CASES,
        trust::CASES,
        destinations::CASES,
        requests::CASES,
        command_line::CASES,
        operation::CASES,
    ];
    let chosen: Vec<&Case> = all.into_iter().flatten().filter(is_chosen).collect();
    if is_listed {
        chosen.iter().for_each(|case| println!("{}\n  {}\n  must: {}", case.name, case.does, case.expects));
        return ExitCode::SUCCESS;
    }
    let failed = chosen.iter().filter(|case| !passes(case)).count();
    println!("{} of {} cases passed", chosen.len() - failed, chosen.len());
    if failed == 0 && !chosen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a scenario and prints a line about it.
fn passes(case: &Case) -> bool {
    let began = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(case.run));
    let (verdict, text) = match &result {
        Ok(measured) => ("passed", measured.clone()),
        Err(panic) => ("FAILED", format!("{}; must: {}", sentence(panic.as_ref()), case.expects)),
    };
    println!("{verdict} {:6.1} s  {}: {text}", began.elapsed().as_secs_f64(), case.name);
    result.is_ok()
}

fn sentence(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given").to_owned()
}
