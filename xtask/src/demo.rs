//! `cargo xtask demo` and `cargo xtask picture`: both build the worker and the demo, and run the demo.

use std::path::PathBuf;
use std::process::Command;

use crate::binaries::{self, Build};
use crate::step::{self, Failure};
use crate::tools;

/// Runs the demo.
pub(crate) fn run() -> Result<(), Failure> {
    play(&[])
}

/// Runs a job that is tried twice, and draws its trace for the documentation.
pub(crate) fn picture() -> Result<(), Failure> {
    play(&[step::root().join("docs/trace.svg")])
}

/// Builds what is missing, runs the demo and passes on its exit code.
fn play(arguments: &[PathBuf]) -> Result<(), Failure> {
    let redis = tools::redis_server()?;
    let worker = binaries::worker(Build::Otel)?;
    // `--workspace`, like the tests, so that both use the same artefacts.
    let demo = &["build", "--workspace", "--bin", "demo", "--bin", "otlp-receiver"];
    step::run("build the demo", &mut step::cargo(demo))?;

    let mut command = Command::new(step::target().join("debug/demo"));
    command.args(arguments).env("POSTRIDER_OTEL_BIN", worker).env("POSTRIDER_REDIS_SERVER", redis);
    let status = command.status().map_err(|error| step::not_started(&command, &error))?;
    if status.success() {
        return Ok(());
    }
    // The demo has already printed the error.
    Err(Failure { message: String::new(), code: step::exit_code(status) })
}
