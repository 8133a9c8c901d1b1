//! The project's own commands. `cargo xtask --help` lists them.

mod binaries;
mod certificates;
mod check;
mod compose;
mod dist;
mod docs;
mod engine;
mod links;
mod peers;
mod plots;
mod programs;
mod sources;
mod step;
mod test;
mod tidy;
mod tools;

use std::num::NonZeroUsize;
use std::process::{Command, ExitCode};

use clap::Parser;

use binaries::Build;

/// The project's own commands
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Run a demo on this machine: Redis, worker, destination, traces
    Demo {
        /// Keep Redis, the destination and a worker running until Ctrl-C
        #[arg(long)]
        keep: bool,
    },
    /// Draw docs/trace.svg, the trace of a job that needs two attempts, from a real run
    Picture,
    /// Run all tests in both builds, with and without OpenTelemetry
    Test {
        /// Threads of each worker whose test does not set them
        #[arg(long, value_name = "N", default_value = "1")]
        threads: NonZeroUsize,
        /// Run only the tests whose name contains one of these
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Check format, links, plots, lints, documentation, dependencies, the lean build and the rules of the architecture
    Check {
        /// Run only this step
        #[arg(long, value_name = "NAME", value_parser = check::names())]
        only: Option<String>,
    },
    /// Build the site of the documents and the API into target/book, after checking all links
    Docs,
    /// Draw docs/plots from the tables of docs/performance.md
    Plots,
    /// Lint and render the Helm chart, check what it makes against schemas, and compare it with the kustomization; fetches Helm's
    /// library from PyPI, 240 MB
    Chart,
    /// Compare the worker with a bare loop that does the same jobs
    Bench {
        /// --rounds N, --jobs N, --in-flight N, --keys N, --json, --plot FILE, and one other measurement: --counts,
        /// --sink-latency MS,MS, --scale, --backlog, --blocked, --bodies, --latency, --slow-sink, --fairness, --idle, --startup,
        /// --delivery-log, --https, --enqueue, --enqueue-all, --outbox, --readers, --settlements, --lists, --order, --sweep,
        /// --dead-host, or --peers for other systems (--peers NAME,NAME: only apalis, bullmq, asyncio-tuned, asyncio-httpx or
        /// celery), which it fetches
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Run faults found in use again, at full size: minutes each
    Cases {
        /// Run only the cases whose name contains one of these; --list only prints them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Fuzz the parsers and decoders; needs nightly
    Fuzz {
        /// Which target to run: the name of a file in fuzz/fuzz_targets [default: all, one after the other]
        target: Option<String>,
        /// Seconds to run each target
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Kill workers, connections and Redis by a random plan, and account for every job
    Chaos {
        /// For how long jobs are enqueued and faults happen
        #[arg(long, value_name = "N", default_value_t = 5)]
        minutes: u64,
        /// Repeat the plan of this seed [default: a new seed each time]
        #[arg(long, value_name = "S")]
        seed: Option<u64>,
    },
    /// Make the certificates of docs/certificates: `postrider certify` on several servers
    Certificates {
        /// Only those whose name contains this text
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// How long each of them runs
        #[arg(long, value_name = "N", default_value_t = 3)]
        minutes: u64,
        /// The seed of the plans
        #[arg(long, value_name = "S", default_value_t = 1)]
        seed: u64,
    },
    /// Kill workers 10,000 times and Redis 100 times in an hour, and write the certificate into docs/certificates
    ManyKills {
        /// How long it runs
        #[arg(long, value_name = "N", default_value_t = 60)]
        minutes: u64,
        /// The seed of the plan
        #[arg(long, value_name = "S", default_value_t = 1)]
        seed: u64,
    },
    /// Check every interleaving of the scripts on a model of Redis
    Model {
        /// --minutes N for how long [default: 5]; or --short for what the test explores; or --mutations to plant faults, each of
        /// which must be found (--only TEXT: those whose name contains it); or --differential N to compare N random steps with a
        /// server; or --replay N to compare N random runs with a worker. --seed S repeats what is random
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Build the worker's images, postrider:otel and postrider:lean
    Images {
        /// Only this build
        #[arg(long, value_enum)]
        features: Option<Build>,
        /// The profile of Cargo: `dev` builds fast, for tests
        #[arg(long, value_name = "NAME", default_value = "release")]
        profile: String,
    },
    /// Build what a release consists of into target/dist: static binaries, packages, images, sums
    Dist(dist::Options),
    /// Install each package of target/dist into a fresh Debian, deliver a job, remove it; needs root and debootstrap
    InstallTest {
        /// Only these: archive, deb, service, pip, npm, image
        ways: Vec<String>,
    },
    /// Start the stack of compose.yaml, send a job through it and print its addresses
    ComposeUp(compose::Options),
    /// Stop the stack
    ComposeDown {
        /// Options of compose: --volumes also removes stored data: jobs, the Collector's queue, metrics
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Show the logs of the stack
    ComposeLogs {
        /// Options of compose, such as --follow, and services
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Test the images and the stack from outside, also while parts of it are stopped
    TestStack {
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
    },
}

fn main() -> ExitCode {
    let task = Task::parse();
    // Ctrl-C reaches all foreground processes: child processes stop and clean up, and xtask waits for them
    // and reports. Without a handler xtask would exit first. Child processes inherit ignored signals, but not
    // caught ones.
    if let Err(error) = ctrlc::set_handler(|| {}) {
        eprintln!("xtask: Ctrl-C will not wait for child processes: {error}");
    }
    match run(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> step::Result {
    match task {
        Task::Demo { keep } => programs::demo(if keep { &["--keep"] } else { &[] }),
        Task::Picture => programs::demo(&["docs/trace.svg"]),
        Task::Test { threads, filter } => test::run(threads, &filter),
        Task::Check { only } => check::run(only.as_deref()),
        Task::Docs => docs::run(),
        Task::Plots => plots::run(),
        Task::Chart => tools::chart(),
        Task::Bench { options } => programs::bench(&options),
        Task::Cases { names } => programs::cases(&names),
        Task::Fuzz { target, seconds } => programs::fuzz(target, seconds),
        Task::Chaos { minutes, seed } => programs::chaos(minutes, seed),
        Task::Certificates { only, minutes, seed } => certificates::all(only.as_deref(), minutes, seed),
        Task::ManyKills { minutes, seed } => certificates::many_kills(minutes, seed),
        Task::Model { options } => programs::model(&options),
        Task::Images { features, profile } => {
            let engine = engine::Engine::find()?;
            let builds = features.map_or(Build::ALL.to_vec(), |build| vec![build]);
            builds.into_iter().try_for_each(|build| engine.image(build, &profile))
        }
        Task::Dist(options) => dist::run(&options),
        Task::InstallTest { ways } => {
            let mut script = Command::new(step::root().join("packaging/install-test.sh"));
            step::run("install", script.arg(step::target()).args(ways))
        }
        Task::ComposeUp(options) => compose::up(&options),
        Task::ComposeDown { options } => compose::call(&["down", "--remove-orphans"], &options),
        Task::ComposeLogs { options } => compose::call(&["logs"], &options),
        Task::TestStack { profile, no_build, traces_file } => {
            programs::test_stack(&profile, no_build, traces_file.as_deref())
        }
    }
}
