//! How much the worker costs, compared with a bare loop that does the same jobs with the same clients.
//!
//! Each round runs each variant once, on the same Redis and the same destination, every other round in reverse.
//! What is compared is the processor time of the measured process alone, not that of Redis, of the destination
//! or of the receiver of telemetry; the ratio is taken within one round, because machines drift. The jobs per
//! second depend on all of them, as they share the machine. Other modes answer one further question each.
//!
//! Run it with `cargo xtask bench`, which builds the programs and says where they are.

mod arguments;
mod backlog;
mod compare;
mod cost;
mod idle;
mod measure;
mod plot;
mod process;
mod report;
mod scale;
mod sink_latency;
mod slow_sink;
mod startup;
mod summary;
mod variant;

use std::process::ExitCode;
use std::time::Duration;

use arguments::{Arguments, Mode};
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::wait::Interrupted;
use serde_json::json;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("bench: {message}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = stop_on_ctrl_c() {
        eprintln!("bench: Ctrl-C will not clean up: {error}");
    }
    match std::panic::catch_unwind(|| run(&arguments)) {
        Ok(report) => println!("{report}"),
        // The message of a panic is out already, and what was started has been stopped.
        Err(reason) => return ExitCode::from(if reason.is::<Interrupted>() { 130 } else { 101 }),
    }
    ExitCode::SUCCESS
}

/// What is to be printed.
fn run(arguments: &Arguments) -> String {
    let redis = RedisServer::start();
    let sink = || QuickSink::start(Duration::ZERO);
    let table = match &arguments.mode {
        Mode::Compare => {
            let comparison = compare::run(arguments, &redis, &sink());
            if arguments.json {
                return format!("{:#}", report::json(arguments, &comparison));
            }
            return report::table(&comparison);
        }
        Mode::Counts => {
            let (rows, too_many) = cost::run(&redis);
            assert!(too_many.is_empty(), "{rows}\n{}", too_many.join("\n"));
            rows
        }
        Mode::SinkLatency(latencies) => sink_latency::run(arguments, &redis, latencies),
        Mode::Scale => scale::run(arguments, &redis, &sink()),
        Mode::Backlog => backlog::run(arguments, &redis, &sink()),
        Mode::SlowSink => slow_sink::run(arguments, &redis),
        Mode::Idle => idle::run(arguments, &redis, &sink()),
        Mode::Startup => startup::run(arguments, &redis, &sink()),
    };
    if arguments.json {
        return format!("{:#}", json!({ "header": table.header, "rows": table.rows }));
    }
    table.to_string()
}

/// Ends whatever is waited for, so that everything that was started is stopped.
fn stop_on_ctrl_c() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            e2e::wait::interrupt();
        }
    });
    Ok(())
}
