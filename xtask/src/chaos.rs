//! `cargo xtask chaos`: the ledger of the end-to-end tests, for any duration.

use clap::Args;

use crate::binaries::{self, Build};
use crate::step::{self, Failure};
use crate::tools;

/// The tests to run.
const ONE_QUEUE: &str = "ledger::nothing_is_lost_while_workers_connections_and_redis_die";
const SEVERAL_QUEUES: &str =
    "ledger::nothing_is_lost_of_several_queues_among_poisonous_jobs_and_hanging_hosts";

/// The settings of the run.
#[derive(Args)]
pub(crate) struct Options {
    /// For how long jobs are enqueued and faults happen
    #[arg(long, value_name = "N", default_value_t = 5)]
    minutes: u64,
    /// Repeat the plan of this seed [default: a new seed each time]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Use two queues, one of them with shards, a tenth of poisonous jobs, and 50 hosts that hang
    #[arg(long)]
    hostile: bool,
}

/// Builds both workers, runs the plan and prints the ledger.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let redis = tools::redis_server()?;
    let lean = binaries::worker(Build::Lean)?;
    let otel = binaries::worker(Build::Otel)?;
    // `--workspace`, like the tests, so that both use the same artefacts.
    let mut command =
        step::cargo(&["test", "--workspace", "--test", "worker", "--", "--nocapture", "--exact"]);
    command
        .arg(if options.hostile { SEVERAL_QUEUES } else { ONE_QUEUE })
        .env("POSTRIDER_REDIS_SERVER", redis)
        .env("POSTRIDER_LEAN_BIN", lean)
        .env("POSTRIDER_OTEL_BIN", otel)
        .env("LEDGER_SECONDS", (options.minutes * 60).to_string());
    if let Some(seed) = options.seed {
        command.env("LEDGER_SEED", seed.to_string());
    }
    step::run("chaos", &mut command)
}
