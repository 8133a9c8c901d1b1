//! How much the worker costs, compared with a bare loop that does the same jobs with the same clients.
//!
//! Each round runs each variant once, on the same Redis and the same destination, every other round in reverse.
//! What is compared is the processor time of the measured process alone, not that of Redis, of the destination
//! or of the receiver of telemetry; the ratio is taken within one round, because machines drift. The jobs per
//! second depend on all of them, as they share the machine.
//!
//! Run it with `cargo xtask bench`, which builds the programs and says where they are.

mod arguments;
mod cpu;
mod measure;
mod report;
mod sink;
mod variant;

use std::process::ExitCode;

use arguments::Arguments;
use e2e::redis::RedisServer;
use e2e::wait::Interrupted;
use measure::Measurement;
use variant::Variant;

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
    let rounds = match std::panic::catch_unwind(|| run(&arguments)) {
        Ok(rounds) => rounds,
        // The message of a panic is out already, and what was started has been stopped.
        Err(reason) => return ExitCode::from(if reason.is::<Interrupted>() { 130 } else { 101 }),
    };
    if arguments.json {
        println!("{:#}", report::json(&arguments, &rounds));
    } else {
        println!("{}", report::table(&rounds));
    }
    ExitCode::SUCCESS
}

/// One measurement of each variant for each round, in the order of [`Variant::ALL`].
fn run(arguments: &Arguments) -> Vec<[Measurement; 4]> {
    for variant in Variant::ALL {
        // Says now, and not after the first measurements, which program is missing.
        variant.program();
    }
    let redis = RedisServer::start();
    let url = sink::start();
    let mut rounds = Vec::new();
    for round in 0..arguments.rounds {
        let mut variants = Variant::ALL;
        if round % 2 == 1 {
            variants.reverse();
        }
        let mut measured = variants.map(|variant| {
            let measurement = measure::run(variant, &redis, &url, arguments);
            eprintln!("round {} of {}: {variant}: {measurement}", round + 1, arguments.rounds);
            measurement
        });
        if round % 2 == 1 {
            measured.reverse();
        }
        rounds.push(measured);
    }
    rounds
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
