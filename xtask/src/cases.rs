//! `cargo xtask cases`: faults found in use, at full size, against an optimised worker.

use std::process::Command;

use clap::Args;

use crate::binaries::{self, Build};
use crate::step::{self, Failure};
use crate::tools;

/// Which cases.
#[derive(Args)]
pub(crate) struct Options {
    /// Only print the cases: what happens in each, and what must come of it
    #[arg(long)]
    list: bool,
    /// Run only the cases whose name contains one of these
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Builds the worker and the cases, and runs the cases one after another.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    // `--workspace`, like the tests, so that both use the same artefacts.
    step::run("build the cases", &mut step::cargo(&["build", "--workspace", "--bin", "cases"]))?;
    let mut command = Command::new(step::target().join("debug/cases"));
    command.args(&options.names);
    if options.list {
        return step::visibly(command.arg("--list"));
    }
    command.env("POSTRIDER_REDIS_SERVER", tools::redis_server()?);
    command.env("POSTRIDER_LEAN_BIN", binaries::release_worker(Build::Lean)?);
    step::run("cases", &mut command)
}
