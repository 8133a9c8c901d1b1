//! `cargo xtask chaos`: the ledger of the end-to-end tests, for as long as one likes.

use clap::Args;

use crate::binaries::{self, Build};
use crate::step::{self, Failure};
use crate::tools;

/// What is played.
#[derive(Args)]
pub(crate) struct Options {
    /// How long jobs come and things die
    #[arg(long, value_name = "N", default_value_t = 5)]
    minutes: u64,
    /// Repeat the plan of this seed; without it there is a new one each time
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Builds both workers and plays; the ledger is printed.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let redis = tools::redis_server()?;
    let lean = binaries::worker(Build::Lean)?;
    let otel = binaries::worker(Build::Otel)?;
    // `--workspace`, as the tests are built: the same artefacts serve both.
    let mut command = step::cargo(&["test", "--workspace", "--test", "ledger", "--", "--nocapture"]);
    command
        .env("POSTRIDER_REDIS_SERVER", redis)
        .env("POSTRIDER_LEAN_BIN", lean)
        .env("POSTRIDER_OTEL_BIN", otel)
        .env("LEDGER_SECONDS", (options.minutes * 60).to_string());
    if let Some(seed) = options.seed {
        command.env("LEDGER_SEED", seed.to_string());
    }
    step::run("chaos", &mut command)
}
