//! The demo: five jobs through a real Redis and a real worker, and their traces.
//!
//! `cargo xtask demo` runs it. With `--keep` its servers stay until Ctrl-C. With the name of a file, as `cargo xtask
//! picture` runs it, it draws the trace of one job to that file instead. It stops everything it started, whichever way it ends: with 0, with 1 and a sentence
//! on standard error, or with 130 after Ctrl-C or SIGTERM.

mod picture;
mod report;
mod setup;
mod steps;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    e2e::program::run("demo", || match std::env::args_os().nth(1) {
        Some(flag) if flag == "--keep" => steps::run(true),
        Some(file) => picture::draw(Path::new(&file)),
        None => steps::run(false),
    })
}
