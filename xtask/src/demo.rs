//! `cargo xtask demo` and `cargo xtask picture`: both build the worker and the demo, and run the demo.

use std::ffi::OsString;
use std::process::Command;

use crate::step::{self, Failure};
use crate::tools;

/// What the user reads before a build that may take minutes.
const BUILD: &str =
    "xtask: the demo needs the worker, the demo itself and a receiver of traces. The first build
\
                     takes about two minutes on two cores, and 1.1 GB in target/; later ones take seconds.";

/// Runs the demo. With `keep`, its servers stay until Ctrl-C.
pub(crate) fn run(keep: bool) -> Result<(), Failure> {
    play(if keep { vec!["--keep".into()] } else { vec![] })
}

/// Runs a job that is tried twice, and draws its trace for the documentation.
pub(crate) fn picture() -> Result<(), Failure> {
    play(vec![step::root().join("docs/trace.svg").into()])
}

/// Builds what is missing, runs the demo and passes on its exit code.
fn play(arguments: Vec<OsString>) -> Result<(), Failure> {
    let redis = tools::redis_server()?;
    let folder = step::target().join("debug");
    if !folder.join("demo").exists() {
        eprintln!("{BUILD}");
    }
    // One selection of packages, the one of the tests: with another, Cargo builds their dependencies again.
    let demo = &["build", "--workspace", "--bin", "postrider", "--bin", "demo", "--bin", "otlp-receiver"];
    step::run("build the demo", &mut step::cargo(demo))?;

    let mut command = Command::new(folder.join("demo"));
    command.args(arguments).env("POSTRIDER_OTEL_BIN", folder.join("postrider"));
    let status = command.env("POSTRIDER_REDIS_SERVER", redis).status();
    let status = status.map_err(|error| step::not_started(&command, &error))?;
    if status.success() {
        return Ok(());
    }
    // The demo has already printed the error.
    Err(Failure { message: String::new(), code: step::exit_code(status) })
}
