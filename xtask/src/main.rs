//! The project's own commands. `cargo xtask --help` lists them.

mod bench;
mod binaries;
mod cases;
mod chaos;
mod check;
mod compose;
mod demo;
mod deployment;
mod docs;
mod engine;
mod fuzz;
mod images;
mod links;
mod sources;
mod stack;
mod step;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
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
        /// Run only the tests whose name contains one of these
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Check format, links, lints, documentation, the lean build and the rules of the architecture
    Check {
        /// Run only this step
        #[arg(long, value_name = "NAME", value_parser = check::names())]
        only: Option<String>,
    },
    /// Build the site of the documents and the API into target/book, after checking all links; needs mdbook
    Docs,
    /// Compare the worker with a bare loop that does the same jobs
    Bench(bench::Options),
    /// Run faults found in use again, at full size: minutes each
    Cases(cases::Options),
    /// Fuzz the parsers and decoders; needs nightly
    Fuzz(fuzz::Options),
    /// Kill workers, connections and Redis by a random plan, and account for every job
    Chaos(chaos::Options),
    /// Build the worker's images, postrider:otel and postrider:lean
    Images(images::Options),
    /// Start the stack of compose.yaml, send a job through it and print its addresses
    ComposeUp(compose::UpOptions),
    /// Stop the stack
    ComposeDown(compose::DownOptions),
    /// Show the logs of the stack
    ComposeLogs(compose::LogsOptions),
    /// Test the images and the stack from outside, also while parts of it are stopped
    TestStack(stack::Options),
}

fn main() -> ExitCode {
    let task = Arguments::parse().command;
    // Ctrl-C reaches all foreground processes: child processes stop and clean up, and xtask waits for them
    // and reports. Without a handler xtask would exit first. Child processes inherit ignored signals, but not
    // caught ones.
    if let Err(error) = ctrlc::set_handler(|| {}) {
        eprintln!("xtask: Ctrl-C will not wait for child processes: {error}");
    }
    let result = match task {
        Task::Demo { keep } => demo::run(keep),
        Task::Picture => demo::picture(),
        Task::Test { filter } => test::run(&filter),
        Task::Check { only } => check::run(only.as_deref()),
        Task::Docs => docs::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Cases(options) => cases::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Images(options) => images::run(&options),
        Task::ComposeUp(options) => compose::up(&options),
        Task::ComposeDown(options) => compose::down(&options),
        Task::ComposeLogs(options) => compose::logs(&options),
        Task::TestStack(options) => stack::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("\nxtask: {}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}
