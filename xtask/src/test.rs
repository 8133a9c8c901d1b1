//! `cargo xtask test`: every test in both builds.
//!
//! Cargo unites the features of all selected packages, so each further selection of packages causes another
//! build of tokio, hyper and the crates that use them. So there is one selection for each build, the whole workspace (in the
//! lean build without these commands, which have no builds).
//! `cargo xtask bench` and the images build the worker alone, as released. All steps of one build run in sequence.

use std::num::NonZeroUsize;
use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::binaries::{Build, Variable};
use crate::step::{self, Result};
use crate::tools;

/// Runs all tests, or those whose name contains one of `filter`, and prints how many. Workers have `threads` threads where a
/// test does not set it.
pub(crate) fn run(threads: NonZeroUsize, filter: &[String]) -> Result {
    let (start, mut counts) = (Instant::now(), [0; 3]);
    let result = run_all(threads, filter, &mut counts);
    let ([passed, failed, skipped], seconds) = (counts, start.elapsed().as_secs());
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    eprintln!(
        "xtask: tests of both builds: {passed} passed, {failed} failed, {skipped} skipped, in {minutes} min {seconds} s"
    );
    result
}

fn run_all(threads: NonZeroUsize, filter: &[String], counts: &mut [u64; 3]) -> Result {
    let [node, node_kit] = tools::node_kit()?;
    let mut variables = vec![
        ("POSTRIDER_REDIS_SERVER".to_owned(), tools::redis_server()?),
        ("POSTRIDER_STANDARDWEBHOOKS".to_owned(), tools::webhooks_library()?),
        ("POSTRIDER_AXE".to_owned(), tools::axe()?),
        ("POSTRIDER_API_TOOLS".to_owned(), tools::api()?),
        ("POSTRIDER_PYTHON_KIT".to_owned(), tools::python_kit()?),
        ("POSTRIDER_NODE".to_owned(), node),
        ("POSTRIDER_NODE_KIT".to_owned(), node_kit),
    ];
    let has_nextest = step::works(&mut step::cargo(&["nextest", "--version"]));
    // The end-to-end tests need the feature `otel`, so the second build runs them, with both binaries.
    for build in [Build::Lean, Build::Otel] {
        variables.extend(build.workers()?);
        let mut tests = |name: &str, command: &[&str], options: &[String]| {
            let mut command = tests(build, command, options, &variables);
            command.env("POSTRIDER_TEST_THREADS", threads.to_string());
            step::run_reading(&format!("{name} ({})", build.name()), command, |line| count(line, counts))
        };
        let filtered = [vec!["--".to_owned()], filter.to_vec()].concat();
        if has_nextest {
            tests("doc tests", &["test", "--doc"], &filtered)?;
            let mut options = vec![format!("--test-threads={}", at_once())];
            // A filter may match no test of one build.
            options.extend((!filter.is_empty()).then(|| "--no-tests=pass".to_owned()));
            tests("tests", &["nextest", "run"], &[options, filtered].concat())?;
        } else {
            tests("tests", &["test"], &filtered)?;
        }
    }
    Ok(())
}

fn tests(build: Build, command: &[&str], options: &[String], variables: &[Variable]) -> Command {
    let mut command = step::cargo(command);
    command.arg("--no-fail-fast").args(build.tested()).args(options);
    command.envs(variables.iter().cloned());
    command
}

/// Tests that run at once: two per core, because most tests wait for other processes most of the time.
/// `.config/nextest.toml` lists the tests that need the machine for themselves.
fn at_once() -> usize {
    2 * thread::available_parallelism().map_or(1, usize::from)
}

/// Adds the counts of a line of cargo-nextest (`Summary … 3 tests run: 2 passed, 1 failed`) or of `cargo test` (`test
/// result: ok. 3 passed; 0 failed`).
fn count(line: &str, counts: &mut [u64; 3]) {
    if !(line.contains("Summary") && line.contains(" run: ") || line.starts_with("test result: ")) {
        return;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    for pair in words.windows(2) {
        let kind = match pair[1].trim_end_matches([',', ';']) {
            "passed" => 0,
            "failed" | "timed" => 1,
            "skipped" | "ignored" => 2,
            _ => continue,
        };
        counts[kind] += pair[0].parse().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tests_of_all_steps_are_counted() {
        let mut counts = [0; 3];
        for line in [
            "     Summary [  25.634s] 62 tests run: 60 passed (1 slow), 1 failed, 1 timed out, 520 skipped",
            "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.01s",
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured",
        ] {
            super::count(line, &mut counts);
        }
        assert_eq!(counts, [72, 2, 522]);
    }
}
