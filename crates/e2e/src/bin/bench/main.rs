//! The cost of the worker, compared with a bare loop that does the same jobs with the same clients.
//!
//! Each round runs each variant once, on the same Redis and destination. Every other round runs them in
//! reverse order. The comparison uses the processor time of the measured process only, not of Redis, the
//! destination or the telemetry receiver. Ratios are taken within one round, because machines drift. The jobs
//! per second depend on all of these processes, because they share the machine. Each other mode measures one
//! further thing.
//!
//! Run it with `cargo xtask bench`, which builds the programs and passes their paths.

mod apart;
mod arguments;
mod backlog;
mod blocked;
mod bodies;
mod compare;
mod cost;
mod delivery_log;
mod enqueue;
mod enqueue_all;
mod fairness;
mod http_load;
mod https;
mod idle;
mod latency;
mod lists;
mod measure;
mod order;
mod outbox;
mod peer;
mod peers;
mod plot;
mod process;
mod readers;
mod report;
mod running;
mod scale;
mod settlements;
mod sink_latency;
mod slow_sink;
mod startup;
mod summary;
mod sweep;
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
        // The panic has already printed its message, and everything started has been stopped.
        Err(reason) => return ExitCode::from(if reason.is::<Interrupted>() { 130 } else { 101 }),
    }
    ExitCode::SUCCESS
}

/// Returns the report to print.
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
        Mode::Latency => latency::run(arguments, &redis, &sink()),
        Mode::Blocked => blocked::run(arguments, &redis, &sink()),
        Mode::Bodies => bodies::run(arguments, &redis, &sink()),
        Mode::Fairness => fairness::run(arguments),
        Mode::SlowSink => slow_sink::run(arguments, &redis),
        Mode::Idle => idle::run(arguments, &redis, &sink()),
        Mode::Startup => startup::run(arguments, &redis, &sink()),
        Mode::DeliveryLog => delivery_log::run(arguments, &redis, &sink()),
        Mode::Https => https::run(arguments, &redis),
        Mode::Peers(peers) => peers::run(arguments, &redis, &sink(), peers),
        Mode::Enqueue => enqueue::run(arguments, &redis),
        Mode::EnqueueAll => enqueue_all::run(arguments, &redis),
        Mode::Outbox => outbox::run(arguments, &redis),
        Mode::Readers => readers::run(arguments, &redis, &sink()),
        Mode::Settlements => settlements::run(arguments, &redis),
        Mode::Lists => lists::run(arguments, &redis),
        Mode::Order => order::run(arguments, &redis, &sink()),
        Mode::Sweep => sweep::run(&redis),
    };
    if arguments.json {
        return format!("{:#}", json!({ "header": table.header, "rows": table.rows }));
    }
    table.to_string()
}

/// Ends all waits, so that everything started is stopped.
fn stop_on_ctrl_c() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            e2e::wait::interrupt();
        }
    });
    Ok(())
}
