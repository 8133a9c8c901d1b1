//! `cargo xtask demo`: builds the worker and the demo, and runs the demo.

use std::process::Command;

use crate::binaries::{self, Build};
use crate::step::{self, Failure};
use crate::tools;

/// Builds the programs, runs the demo and returns its exit code.
pub(crate) fn run() -> Result<(), Failure> {
    let redis = tools::redis_server()?;
    let worker = binaries::worker(Build::Otel)?;
    // `--workspace`, like the tests, so that both use the same artefacts.
    let demo = &["build", "--workspace", "--bin", "demo", "--bin", "otlp-receiver"];
    step::run("build the demo", &mut step::cargo(demo))?;

    let mut command = Command::new(step::target().join("debug/demo"));
    command.env("POSTRIDER_OTEL_BIN", worker).env("POSTRIDER_REDIS_SERVER", redis);
    let status = command.status().map_err(|error| step::not_started(&command, &error))?;
    if status.success() {
        return Ok(());
    }
    // The demo has already printed the error.
    Err(Failure { message: String::new(), code: step::exit_code(status) })
}
