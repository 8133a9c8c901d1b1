//! The demo: five jobs through a real Redis and a real worker, and their traces.
//!
//! `cargo xtask demo` runs it. It stops everything it started, however it ends: with 0, with 1 and a sentence
//! on standard error, or with 130 after Ctrl-C or SIGTERM.

mod play;
mod report;

use std::process::ExitCode;

fn main() -> ExitCode {
    e2e::program::run("demo", play::run)
}
