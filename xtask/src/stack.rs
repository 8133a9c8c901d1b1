//! `cargo xtask test-stack`: builds the images and runs `crates/e2e/src/bin/stack`, which tests them from
//! outside.

use std::ffi::OsString;
use std::process::Command;

use clap::Args;

use crate::binaries::Build;
use crate::engine::Engine;
use crate::images;
use crate::step::{self, Failure};

/// The settings of the test.
#[derive(Args)]
pub(crate) struct Options {
    /// Cargo's profile for the images
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
    /// Test the existing images
    #[arg(long)]
    no_build: bool,
    /// Read traces not from Jaeger but from this file in the receiver's container, in the format of the
    /// Collector's file exporter
    #[arg(long, value_name = "PATH")]
    traces_file: Option<String>,
}

/// Builds the images and runs the test, which stops everything it started.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let engine = Engine::find()?;
    let compose = engine.compose()?;
    if !options.no_build {
        for build in [Build::Otel, Build::Lean] {
            images::image(&engine, build, &options.profile)?;
        }
    }
    // `--workspace`, like the tests, so that both use the same artefacts.
    step::run("build the test", &mut step::cargo(&["build", "--workspace", "--bin", "stack"]))?;
    let mut command = Command::new(step::target().join("debug/stack"));
    command.current_dir(step::root()).env("POSTRIDER_COMPOSE", compose.join(&OsString::from(" ")));
    command.env("POSTRIDER_ENGINE", engine.client());
    if let Some(file) = &options.traces_file {
        command.env("POSTRIDER_TRACES_FILE", file);
    }
    step::run("test the stack", &mut command)
}
