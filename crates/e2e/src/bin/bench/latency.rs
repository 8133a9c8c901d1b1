//! The time from enqueue to the request at a low rate, with all processes on all cores and with some of them kept apart.

use std::fmt::Display;

use e2e::drain::command;
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;

use crate::apart::Apart;
use crate::arguments::Arguments;
use crate::enqueue::{in_turn, ratios};
use crate::measure::{self, LATENCY_RATE, Latency};
use crate::process::{threads, tree};
use crate::running::Running;
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

/// Batches of spans leave every few seconds.
const SECONDS: u32 = 10;
const VARIANTS: [Variant; 3] = [Variant::Lean, Variant::OtelOff, Variant::OtelOn];

/// What has a core to itself.
#[derive(Clone, Copy)]
enum Alone {
    Nothing,
    /// The thread of the worker that delivers jobs.
    Worker,
    /// The worker's other threads, which export, and the receiver.
    Telemetry,
}

impl Display for Alone {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(match self {
            Alone::Nothing => "all on all cores",
            Alone::Worker => "the worker apart",
            Alone::Telemetry => "telemetry apart",
        })
    }
}

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let mut rows = Rows::new(&["", "", "p50 ms", "p99 ms", "p99 to lean"]);
    for alone in [Alone::Nothing, Alone::Worker, Alone::Telemetry] {
        let mut runs = VARIANTS.map(|_| vec![]);
        for round in 0..arguments.rounds {
            for index in in_turn(round, VARIANTS.len()) {
                let latency = measure(VARIANTS[index], alone, redis, sink);
                let variant = VARIANTS[index];
                eprintln!("round {} of {}: {alone}, {variant}: {latency:?}", round + 1, arguments.rounds);
                runs[index].push(latency);
            }
        }
        for (variant, own) in VARIANTS.iter().zip(&runs) {
            let names = vec![alone.to_string(), variant.to_string()];
            rows.rows.push([names, latency_cells(own, &runs[0])].concat());
        }
    }
    rows
}

/// Medians and 99th percentiles in ms, and these to those of the reference in the same round.
pub(crate) fn latency_cells(own: &[Latency], reference: &[Latency]) -> Vec<String> {
    let p50 = own.iter().map(|latency| latency.p50.as_secs_f64() * 1e3);
    let [p99, of_reference] = [own, reference]
        .map(|runs| -> Vec<f64> { runs.iter().map(|latency| latency.p99.as_secs_f64() * 1e3).collect() });
    let ratio = ratios(&p99, &of_reference);
    [Summary::of(p50), Summary::of(p99), ratio].map(|summary| summary.text(2)).to_vec()
}

fn measure(variant: Variant, alone: Alone, redis: &RedisServer, sink: &QuickSink) -> Latency {
    let mut connection = redis.connect();
    command(&mut connection, &["FLUSHALL"]);
    let mut running = variant.start(&redis.url(), 64, 0);
    running.wait_until_ready(1);
    let _apart = apart(alone, &running);
    let jobs = [LATENCY_RATE, SECONDS * LATENCY_RATE];
    let latency = measure::paced_latency(&running, sink, LATENCY_RATE, jobs, || {
        measure::enqueue(&mut connection, sink);
    });
    running.stop();
    latency
}

/// # Panics
///
/// If the machine has one core, or does not allow it.
fn apart(alone: Alone, running: &Running) -> Option<Apart> {
    let own = match alone {
        Alone::Nothing => return None,
        Alone::Worker => vec![running.process()],
        Alone::Telemetry => {
            let others = threads(running.process()).into_iter().filter(|thread| *thread != running.process());
            let receiver = running.receiver().into_iter().flat_map(threads);
            others.chain(receiver).collect()
        }
    };
    let all = tree(std::process::id()).into_iter().flat_map(threads);
    let others: Vec<u32> = all.filter(|thread| !own.contains(thread)).collect();
    Some(Apart::new(&own, &others).expect("there are two cores, and threads may be bound to them"))
}
