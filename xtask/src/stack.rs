//! `cargo xtask test-stack`: builds the images and has `crates/e2e/src/bin/stack` test them from outside.

use std::ffi::OsString;
use std::process::Command;

use clap::Args;

use crate::binaries::Build;
use crate::engine::Engine;
use crate::images;
use crate::step::{self, Failure};

/// How the stack is tested.
#[derive(Args)]
pub(crate) struct Options {
    /// The profile of Cargo that the images are built with
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
    /// Test the images that are there
    #[arg(long)]
    no_build: bool,
    /// Read traces not from Jaeger but from this file in the receiver's container, as the Collector's file exporter
    /// writes it
    #[arg(long, value_name = "PATH")]
    traces_file: Option<String>,
}

/// Builds and tests; what the test started, it stops.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let engine = Engine::find()?;
    let compose = engine.compose()?;
    if !options.no_build {
        for build in [Build::Otel, Build::Lean] {
            images::image(&engine, build, &options.profile)?;
        }
    }
    // `--workspace`, as the tests are built: the same artefacts serve both.
    step::run("build the test", &mut step::cargo(&["build", "--workspace", "--bin", "stack"]))?;
    let mut command = Command::new(step::target().join("debug/stack"));
    command.current_dir(step::root()).env("POSTRIDER_COMPOSE", compose.join(&OsString::from(" ")));
    command.env("POSTRIDER_ENGINE", engine.client());
    if let Some(file) = &options.traces_file {
        command.env("POSTRIDER_TRACES_FILE", file);
    }
    step::run("test the stack", &mut command)
}
