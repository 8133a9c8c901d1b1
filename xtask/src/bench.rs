//! `cargo xtask bench`: builds everything with optimisation and runs the bench.

use std::process::Command;

use clap::Args;

use crate::binaries::{self, Build};
use crate::step::{self, Failure};
use crate::tools;

/// What the bench is told; the defaults are its own.
#[derive(Args)]
pub(crate) struct Options {
    /// How often each variant runs
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Jobs of one run
    #[arg(long, value_name = "N")]
    jobs: Option<u32>,
    /// Jobs in the works at once
    #[arg(long, value_name = "N")]
    in_flight: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Measure instead what one dead destination among a hundred costs the others
    #[arg(long, conflicts_with = "json")]
    dead_host: bool,
}

/// Runs the bench on release builds.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let redis = tools::redis_server()?;
    let lean = binaries::release_worker(Build::Lean)?;
    let folder = step::target().join("release");
    let numbers =
        [("--rounds", options.rounds), ("--jobs", options.jobs), ("--in-flight", options.in_flight)];
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some(format!("{name}={}", number?)));
    if options.dead_host {
        let programs = ["--bin", "dead-host"];
        step::run("build the bench", step::cargo(&["build", "--release", "--workspace"]).args(programs))?;
        let mut command = Command::new(folder.join("dead-host"));
        command.env("POSTRIDER_REDIS_SERVER", redis).env("POSTRIDER_LEAN_BIN", lean).args(numbers);
        return step::run("bench", &mut command);
    }
    let otel = binaries::release_worker(Build::Otel)?;
    let programs = ["--bin", "bench", "--bin", "bare-loop", "--bin", "otlp-receiver"];
    step::run("build the bench", step::cargo(&["build", "--release", "--workspace"]).args(programs))?;

    let mut command = Command::new(folder.join("bench"));
    command
        .env("POSTRIDER_REDIS_SERVER", redis)
        .env("POSTRIDER_LEAN_BIN", lean)
        .env("POSTRIDER_OTEL_BIN", otel);
    command.env("POSTRIDER_BARE_LOOP_BIN", folder.join("bare-loop"));
    command.env("POSTRIDER_OTLP_RECEIVER_BIN", folder.join("otlp-receiver"));
    command.args(numbers);
    command.args(options.json.then_some("--json"));
    step::run("bench", &mut command)
}
