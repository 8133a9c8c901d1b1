//! The comparison: each round runs each variant once, every other round in reverse order.

use std::panic::AssertUnwindSafe;

use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::wait::Interrupted;

use crate::arguments::Arguments;
use crate::cost::{self, Cost, Kind, Subject};
use crate::measure::{self, LATENCY_RATE, Latency, Load, Measurement, Target};
use crate::variant::Variant;

/// Seconds of jobs at a steady rate, per round.
const LATENCY_SECONDS: u32 = 3;
const VARIANTS: usize = Variant::ALL.len();

/// One measurement of each variant, in the order of [`Variant::ALL`].
pub(crate) struct Round {
    pub(crate) measurements: [Measurement; VARIANTS],
    pub(crate) latencies: [Option<Latency>; VARIANTS],
}

/// All results.
pub(crate) struct Comparison {
    pub(crate) rounds: Vec<Round>,
    pub(crate) costs: [Cost; VARIANTS],
}

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Comparison {
    for variant in Variant::ALL {
        // Reports a missing program now, not after the first measurements.
        variant.program();
    }
    let load = Load { jobs: arguments.jobs, in_flight: arguments.in_flight.unwrap_or(64), warm_up: 0 };
    let mut rounds = Vec::new();
    for round in 0..arguments.rounds {
        let backwards = round % 2 == 1;
        let measurements = in_order(backwards, |variant| {
            let measurement = measure::run(variant, redis, &Target::of(sink), load);
            eprintln!("round {} of {}: {variant}: {measurement}", round + 1, arguments.rounds);
            measurement
        });
        let latencies = in_order(backwards, |variant| {
            (variant.is_bare() || [Variant::Lean, Variant::OtelOn].contains(&variant)).then(|| {
                let latency = measure::latency(variant, redis, sink, LATENCY_SECONDS * LATENCY_RATE);
                eprintln!("round {} of {}: {variant}: {latency:?}", round + 1, arguments.rounds);
                latency
            })
        });
        rounds.push(Round { measurements, latencies });
    }
    // Counts are the same in each round.
    let costs = Variant::ALL.map(|variant| counted(variant, redis));
    Comparison { rounds, costs }
}

/// A failure here does not discard the earlier measurements.
fn counted(variant: Variant, redis: &RedisServer) -> Cost {
    match std::panic::catch_unwind(AssertUnwindSafe(|| cost::of(Subject::new(variant, Kind::Plain), redis))) {
        Ok(cost) => cost,
        Err(reason) if reason.is::<Interrupted>() => std::panic::resume_unwind(reason),
        // The panic has already printed its message.
        Err(_) => Cost { allocations: None, instructions: None },
    }
}

fn in_order<T>(backwards: bool, measure: impl Fn(Variant) -> T) -> [T; VARIANTS] {
    let mut variants = Variant::ALL;
    if backwards {
        variants.reverse();
    }
    let mut results = variants.map(measure);
    if backwards {
        results.reverse();
    }
    results
}
