//! `cargo xtask chaos`: the ledger of the end-to-end tests, for as long as one likes.

use clap::Args;

use crate::binaries::{self, Build};
use crate::step::{self, Failure};
use crate::tools;

/// The tests that play.
const ONE_QUEUE: &str = "ledger::nothing_is_lost_while_workers_connections_and_redis_die";
const SEVERAL_QUEUES: &str = "ledger::nothing_is_lost_of_several_queues_and_shards";

/// What is played.
#[derive(Args)]
pub(crate) struct Options {
    /// How long jobs come and things die
    #[arg(long, value_name = "N", default_value_t = 5)]
    minutes: u64,
    /// Repeat the plan of this seed; without it there is a new one each time
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Two queues, one of them with shards, in place of one
    #[arg(long)]
    shards: bool,
}

/// Builds both workers and plays; the ledger is printed.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let redis = tools::redis_server()?;
    let lean = binaries::worker(Build::Lean)?;
    let otel = binaries::worker(Build::Otel)?;
    // `--workspace`, as the tests are built: the same artefacts serve both.
    let mut command =
        step::cargo(&["test", "--workspace", "--test", "worker", "--", "--nocapture", "--exact"]);
    command
        .arg(if options.shards { SEVERAL_QUEUES } else { ONE_QUEUE })
        .env("POSTRIDER_REDIS_SERVER", redis)
        .env("POSTRIDER_LEAN_BIN", lean)
        .env("POSTRIDER_OTEL_BIN", otel)
        .env("LEDGER_SECONDS", (options.minutes * 60).to_string());
    if let Some(seed) = options.seed {
        command.env("LEDGER_SEED", seed.to_string());
    }
    step::run("chaos", &mut command)
}
