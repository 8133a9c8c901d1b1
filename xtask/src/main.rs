//! The project's own commands. `cargo xtask --help` lists them.

mod bench;
mod binaries;
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
    /// Run the main job from end to end on this machine: Redis, worker, destination, traces
    Demo,
    /// Run all tests in both builds, with and without OpenTelemetry
    Test {
        /// Run only the tests whose name contains one of these
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Format, links, lints, documentation, the lean build and the rules of the architecture
    Check {
        /// Run this step alone
        #[arg(long, value_name = "NAME", value_parser = check::names())]
        only: Option<String>,
    },
    /// Build the site of the documents and the API into target/book, after checking all links; needs mdbook
    Docs,
    /// Compare the worker with a bare loop that does the same jobs
    Bench(bench::Options),
    /// Try what must hold of any input with input that a fuzzer makes up; needs nightly
    Fuzz(fuzz::Options),
    /// Let workers, connections and Redis die by a random plan, and account for every job
    Chaos(chaos::Options),
    /// Build the worker's images, postrider:otel and postrider:lean
    Images(images::Options),
    /// Start the stack of compose.yaml, send a job through it and say where to look
    ComposeUp(compose::UpOptions),
    /// Stop the stack
    ComposeDown(compose::DownOptions),
    /// Show what the stack has logged
    ComposeLogs(compose::LogsOptions),
    /// Test the images and the stack from outside, also while parts of it stop
    TestStack(stack::Options),
}

fn main() -> ExitCode {
    let task = Arguments::parse().command;
    // Ctrl-C goes to everything in the foreground: what we started stops and cleans up, we wait for it and
    // report. Without a handler we would be gone first. A caught signal is not inherited, an ignored one is.
    if let Err(error) = ctrlc::set_handler(|| {}) {
        eprintln!("xtask: Ctrl-C will not wait for what was started: {error}");
    }
    let result = match task {
        Task::Demo => demo::run(),
        Task::Test { filter } => test::run(&filter),
        Task::Check { only } => check::run(only.as_deref()),
        Task::Docs => docs::run(),
        Task::Bench(options) => bench::run(&options),
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
