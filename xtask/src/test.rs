//! `cargo xtask test`: every test in both builds.
//!
//! Cargo unites the features of all selected packages, so each further selection of packages causes another
//! build of tokio, hyper and the crates that use them. So there are only two selections for each build: the
//! worker alone (as released) and the whole workspace. All steps of one build run in sequence.

use std::path::Path;
use std::process::Command;
use std::time::Instant;
use std::{fs, thread};

use crate::binaries::{self, Build};
use crate::step::{self, Failure};
use crate::tools;

/// Runs all tests, or those whose name contains one of `filter`, and prints how many.
pub(crate) fn run(filter: &[String]) -> Result<(), Failure> {
    let start = Instant::now();
    let mut totals = Totals::default();
    let result = run_all(filter, &mut totals);
    let Totals { passed, failed, skipped } = totals;
    let seconds = start.elapsed().as_secs();
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    eprintln!(
        "xtask: tests of both builds: {passed} passed, {failed} failed, {skipped} skipped, in {minutes} min {seconds} s"
    );
    result
}

fn run_all(filter: &[String], totals: &mut Totals) -> Result<(), Failure> {
    let redis = tools::redis_server()?;
    let webhooks = tools::webhooks_library()?;
    let nextest = step::works(&mut step::cargo(&["nextest", "--version"]));
    let runner = if nextest { "cargo-nextest" } else { "cargo test (cargo-nextest is not installed)" };
    eprintln!("xtask: running the tests with {runner}");
    let mut tests =
        |name: &str, command: &mut Command| step::run_reading(name, command, |line| totals.add(line));

    let lean = binaries::worker(Build::Lean)?;
    if nextest {
        // Also compiles the end-to-end tests, but the other build runs them, with both binaries.
        let only = ["-E", "not package(postrider-e2e)"];
        tests("unit tests (lean)", &mut with_nextest(Build::Lean, &only, filter))?;
    } else {
        step::run("compile the tests (lean)", &mut with_cargo(Build::Lean, &["--no-run".into()], &[]))?;
        tests("unit tests (lean)", &mut with_cargo(Build::Lean, &all_but_e2e()?, filter))?;
    }
    tests("doc tests (lean)", &mut with_cargo(Build::Lean, &["--doc".into()], filter))?;

    let lean_counting = binaries::counting_worker(Build::Lean)?;

    let otel = binaries::worker(Build::Otel)?;
    let otel_counting = binaries::counting_worker(Build::Otel)?;
    let paths = [
        (Build::Lean.counting_variable(), &lean_counting),
        (Build::Otel.counting_variable(), &otel_counting),
        ("POSTRIDER_OTEL_BIN", &otel),
        ("POSTRIDER_LEAN_BIN", &lean),
        ("POSTRIDER_REDIS_SERVER", &redis),
        ("POSTRIDER_STANDARDWEBHOOKS", &webhooks),
    ];
    if nextest {
        tests("doc tests (otel)", &mut with_cargo(Build::Otel, &["--doc".into()], filter))?;
        tests("unit and end-to-end tests (otel)", with_nextest(Build::Otel, &[], filter).envs(paths))
    } else {
        tests("all tests (otel)", with_cargo(Build::Otel, &[], filter).envs(paths))
    }
}

/// How many tests ran, over all steps.
#[derive(Default)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    /// Adds a line of cargo-nextest (`3 tests run: 2 passed, 1 failed`) or of `cargo test` (`test result: ok. 3 passed;
    /// 0 failed`).
    fn add(&mut self, line: &str) {
        if !(line.contains(" run: ") && line.contains("Summary") || line.starts_with("test result: ")) {
            return;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<u64>() else { continue };
            match pair[1].trim_end_matches([',', ';']) {
                "passed" => self.passed += count,
                "failed" | "timed" => self.failed += count,
                "skipped" | "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }
}

fn with_nextest(build: Build, options: &[&str], filter: &[String]) -> Command {
    let mut command = step::cargo(&["nextest", "run", "--workspace", "--no-fail-fast"]);
    command.args(build.flags()).args(options).args(["--test-threads", &at_once()]);
    if !filter.is_empty() {
        // A filter may match no test of one build.
        command.arg("--no-tests=pass").arg("--").args(filter);
    }
    command
}

fn with_cargo(build: Build, options: &[String], filter: &[String]) -> Command {
    let mut command = step::cargo(&["test", "--workspace", "--no-fail-fast"]);
    command.args(build.flags()).args(options);
    if !filter.is_empty() {
        command.arg("--").args(filter);
    }
    command
}

/// Tests that run at once: two per core, because most tests wait for other processes most of the time.
/// `.config/nextest.toml` lists the tests that need the machine for themselves.
fn at_once() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (2 * cores).to_string()
}

/// The options that select every test target except those in `crates/e2e/tests`. `--exclude` would do the
/// same, but build all dependencies again with other features.
fn all_but_e2e() -> Result<Vec<String>, Failure> {
    let mut options = vec!["--lib".to_owned(), "--bins".to_owned()];
    for folder in entries(&step::root().join("crates"))?.iter().filter(|folder| !folder.ends_with("e2e")) {
        let tests = folder.join("tests");
        if !tests.is_dir() {
            continue;
        }
        for file in entries(&tests)?.iter().filter(|file| file.extension().is_some_and(|ext| ext == "rs")) {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            options.extend(["--test".to_owned(), name.into_owned()]);
        }
    }
    Ok(options)
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let failure = |error| Failure::from(format!("could not list {}: {error}", folder.display()));
    let entries = fs::read_dir(folder).map_err(failure)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failure)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_all_steps_are_counted() {
        let mut totals = Totals::default();
        for line in [
            "     Summary [  25.634s] 62 tests run: 60 passed (1 slow), 1 failed, 1 timed out, 520 skipped",
            "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.01s",
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured",
        ] {
            totals.add(line);
        }
        assert_eq!((totals.passed, totals.failed, totals.skipped), (72, 2, 522));
    }
}
