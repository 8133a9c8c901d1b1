//! What is counted and not timed: allocations and instructions.

use std::ffi::OsString;
use std::path::Path;

use e2e::callgrind;
use e2e::drain::Drain;
use e2e::otlp::Receiver;
use e2e::quick_sink::QuickSink;
use e2e::redis::{RedisServer, on_path};

use crate::summary::Rows;
use crate::variant::{Variant, path_in};

/// Jobs of the two runs whose difference counts.
const ALLOCATION_JOBS: [usize; 2] = [500, 3_500];

/// So none waits for its turn, however slow valgrind makes the destination seem, and each run is like the other.
const IN_FLIGHT: usize = 1;
/// Telemetry that is switched off may cost so many instructions more than none.
const MOST_WHEN_OFF: f64 = 1.01;

/// For each job, where it could be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// By the thread that does the work.
    pub(crate) allocations: Option<f64>,
    /// In user mode, by all threads.
    pub(crate) instructions: Option<f64>,
}

pub(crate) fn of(variant: Variant, redis: &RedisServer, sink: &QuickSink) -> Cost {
    let in_flight = IN_FLIGHT;
    if variant == Variant::Bare {
        let instructions = on_path("valgrind").map(|valgrind| {
            let program = variant.program();
            let run = |jobs| callgrind::bare_loop(&valgrind, &program, redis, sink, in_flight, jobs);
            callgrind::difference(run)
        });
        return Cost { allocations: None, instructions };
    }
    let receiver = variant.is_recording().then(|| Receiver::start(path_in("POSTRIDER_OTLP_RECEIVER_BIN")));
    let endpoint = receiver.as_ref().map(Receiver::grpc_endpoint);
    let mut environment = variant.recording();
    if let Some(endpoint) = &endpoint {
        environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
    }
    let allocations = variant.counting_program().map(|program| {
        let program = [OsString::from(program)];
        let drain = Drain { program: &program, environment: &environment, in_flight };
        let count = |output: &str| output.trim().parse().expect("the program writes a number");
        drain.per_job(redis, sink, ALLOCATION_JOBS, count)
    });
    let instructions = on_path("valgrind").map(|valgrind| {
        let program: &Path = &variant.program();
        callgrind::worker(&valgrind, program, &environment, redis, sink, in_flight)
    });
    eprintln!("{variant}: allocations {allocations:.1?}, instructions {instructions:.0?} a job");
    Cost { allocations, instructions }
}

/// The counts of all variants, and whether telemetry that is switched off costs more than it may.
pub(crate) fn run(redis: &RedisServer, sink: &QuickSink) -> (Rows, Option<String>) {
    let mut rows = Rows::new(&["", "allocations/job", "instructions/job", "to lean"]);
    let costs = Variant::ALL.map(|variant| (variant, of(variant, redis, sink)));
    let instructions = |wanted| costs.iter().find(|(variant, _)| *variant == wanted)?.1.instructions;
    let lean = instructions(Variant::Lean);
    for (variant, cost) in costs {
        let ratio = cost.instructions.zip(lean).map(|(instructions, lean)| instructions / lean);
        rows.rows.push(vec![
            variant.to_string(),
            cost.allocations.map_or_else(String::new, |count| format!("{count:.1}")),
            cost.instructions.map_or_else(String::new, |count| format!("{count:.0}")),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}")),
        ]);
    }
    let off = instructions(Variant::OtelOff).zip(lean).map(|(off, lean)| off / lean);
    let too_many = off.filter(|ratio| *ratio > MOST_WHEN_OFF).map(|ratio| {
        format!("telemetry switched off costs {ratio:.3} × the instructions of the lean build, at most {MOST_WHEN_OFF}")
    });
    (rows, too_many)
}
