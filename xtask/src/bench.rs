//! `cargo xtask bench`: builds everything with optimisation and runs the bench.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::binaries::{self, Build};
use crate::step::{self, Failure};
use crate::tools;

/// Options passed to the bench, which has the defaults.
#[derive(Args)]
pub(crate) struct Options {
    /// Runs of each variant
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Jobs per run
    #[arg(long, value_name = "N")]
    jobs: Option<u32>,
    /// Jobs in flight at most
    #[arg(long, value_name = "N")]
    in_flight: Option<u32>,
    /// Print JSON
    #[arg(long, conflicts_with = "dead_host")]
    json: bool,
    /// Where to write the plot of --sink-latency, as SVG
    #[arg(long, value_name = "FILE", requires = "sink_latency")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    mode: Mode,
}

/// A measurement other than the comparison of the worker with the bare loop.
#[derive(Args)]
#[group(multiple = false)]
struct Mode {
    /// Only allocations and instructions; fails if telemetry switched off costs more than 1 %
    #[arg(long)]
    counts: bool,
    /// Throughput by requests in flight, for destinations with these latencies in milliseconds
    #[arg(long, value_name = "MS,MS", num_args = 0..=1, default_missing_value = "0,20,100")]
    sink_latency: Option<String>,
    /// Cost of a job with 2 workers, and with 3 nodes of a cluster
    #[arg(long)]
    scale: bool,
    /// Cost of a job while a million wait
    #[arg(long)]
    backlog: bool,
    /// Cost of 10,000 requests in flight to a destination that takes a second
    #[arg(long)]
    slow_sink: bool,
    /// What flows that hang, and jobs that always fail, cost the others (8 minutes)
    #[arg(long)]
    fairness: bool,
    /// Cost of an idle worker, and how soon it starts the next job
    #[arg(long)]
    idle: bool,
    /// Time from a worker's start to its first request
    #[arg(long)]
    startup: bool,
    /// Cost of one dead destination among a hundred for the others
    #[arg(long)]
    dead_host: bool,
}

impl Options {
    /// The arguments for the bench's program.
    fn words(&self) -> Vec<String> {
        let numbers = [("--rounds", self.rounds), ("--jobs", self.jobs), ("--in-flight", self.in_flight)];
        let numbers = numbers.into_iter().filter_map(|(name, number)| Some(format!("{name}={}", number?)));
        let mode = &self.mode;
        let flags = [
            ("--json", self.json),
            ("--counts", mode.counts),
            ("--scale", mode.scale),
            ("--backlog", mode.backlog),
            ("--slow-sink", mode.slow_sink),
            ("--fairness", mode.fairness),
            ("--idle", mode.idle),
            ("--startup", mode.startup),
        ];
        let flags = flags.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name.to_owned());
        let latency = mode.sink_latency.as_ref().map(|latencies| format!("--sink-latency={latencies}"));
        let plot = self.plot.as_ref().map(|path| format!("--plot={}", path.display()));
        numbers.chain(flags).chain(latency).chain(plot).collect()
    }

    fn counts(&self) -> bool {
        let mode = &self.mode;
        let others = [
            mode.scale,
            mode.backlog,
            mode.slow_sink,
            mode.fairness,
            mode.idle,
            mode.startup,
            mode.dead_host,
        ];
        mode.sink_latency.is_none() && !others.contains(&true)
    }
}

/// Runs the bench on release builds.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let redis = tools::redis_server()?;
    let lean = binaries::release_worker(Build::Lean)?;
    let folder = step::target().join("release");
    if options.mode.dead_host {
        let programs = ["--bin", "dead-host"];
        step::run("build the bench", step::cargo(&["build", "--release", "--workspace"]).args(programs))?;
        let mut command = Command::new(folder.join("dead-host"));
        command.env("POSTRIDER_REDIS_SERVER", redis).env("POSTRIDER_LEAN_BIN", lean).args(options.words());
        return step::run("bench", &mut command);
    }
    let otel = binaries::release_worker(Build::Otel)?;
    let programs = ["--bin", "bench", "--bin", "bare-loop", "--bin", "otlp-receiver"];
    step::run("build the bench", step::cargo(&["build", "--release", "--workspace"]).args(programs))?;

    let mut command = Command::new(folder.join("bench"));
    command
        .env("POSTRIDER_REDIS_SERVER", redis)
        .env("POSTRIDER_LEAN_BIN", lean)
        .env("POSTRIDER_OTEL_BIN", otel)
        .env("POSTRIDER_BARE_LOOP_BIN", folder.join("bare-loop"))
        .env("POSTRIDER_OTLP_RECEIVER_BIN", folder.join("otlp-receiver"));
    if options.counts() {
        // Optimisation does not change the number of allocations, and `cargo xtask test` needs these builds,
        // too.
        for build in [Build::Lean, Build::Otel] {
            command.env(build.counting_variable(), binaries::counting_worker(build)?);
        }
    }
    step::run("bench", command.args(options.words()))
}
