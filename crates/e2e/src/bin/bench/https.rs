//! The cost of a job to destinations with TLS 1.3: kept-alive HTTP/1.1 and HTTP/2 of one host and of many, and a new connection
//! for each job.

use e2e::drain::BODY_BYTES;
use e2e::redis::RedisServer;
use e2e::secure_sink::{Protocol, SecureSink};

use crate::arguments::Arguments;
use crate::enqueue::{in_turn, ratios};
use crate::measure::{self, Load, Measurement, Target};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

const MANY_HOSTS: u8 = 100;
const VARIANTS: [Variant; 3] = [Variant::Bare, Variant::Lean, Variant::OtelOff];
/// A new connection costs five times as much as a job on an old one.
const CLOSING_SHARE: usize = 5;

struct Case {
    name: &'static str,
    protocol: Protocol,
    hosts: u8,
}

const fn case(name: &'static str, protocol: Protocol, hosts: u8) -> Case {
    Case { name, protocol, hosts }
}

const CASES: [Case; 5] = [
    case("HTTP/1.1, 1 host", Protocol::Http1, 1),
    case("HTTP/1.1, 100 hosts", Protocol::Http1, MANY_HOSTS),
    case("HTTP/2, 1 host", Protocol::Http2, 1),
    case("HTTP/2, 100 hosts", Protocol::Http2, MANY_HOSTS),
    case("a connection for each job", Protocol::Http1Closing, 1),
];

struct Run {
    measured: Measurement,
    /// For each job.
    handshakes: f64,
    /// Of the handshakes.
    resumed: f64,
}

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer) -> Rows {
    let header = ["", "", "jobs/s", "CPU µs/job", "to bare", "handshakes/job", "resumed"];
    let mut rows = Rows::new(&header);
    for case in &CASES {
        let sink = SecureSink::start(case.protocol, case.hosts);
        let mut runs = VARIANTS.map(|_| Vec::new());
        for round in 0..arguments.rounds {
            for index in in_turn(round, VARIANTS.len()) {
                let run = measure(case, VARIANTS[index], arguments, redis, &sink);
                eprintln!(
                    "round {} of {}: {}, {}: {}",
                    round + 1,
                    arguments.rounds,
                    case.name,
                    VARIANTS[index],
                    run.measured
                );
                runs[index].push(run);
            }
        }
        add(&mut rows, case, &runs);
    }
    rows
}

fn measure(
    case: &Case,
    variant: Variant,
    arguments: &Arguments,
    redis: &RedisServer,
    sink: &SecureSink,
) -> Run {
    let jobs =
        if case.protocol == Protocol::Http1Closing { arguments.jobs / CLOSING_SHARE } else { arguments.jobs };
    let load = Load { jobs, in_flight: arguments.in_flight.unwrap_or(64), warm_up: 0 };
    let urls = sink.urls().iter().map(String::as_str).collect();
    let target = Target { urls, certificate: Some(sink.certificate()), body_bytes: BODY_BYTES };
    let before = sink.handshakes();
    let measured = measure::run(variant, redis, &target, load);
    let after = sink.handshakes();
    let [full, resumed] =
        [after.full - before.full, after.resumed - before.resumed].map(|count| count as f64);
    Run { measured, handshakes: (full + resumed) / jobs as f64, resumed: resumed / (full + resumed) }
}

fn add(rows: &mut Rows, case: &Case, runs: &[Vec<Run>; VARIANTS.len()]) {
    for (variant, own) in VARIANTS.iter().zip(runs) {
        let of = |value: fn(&Run) -> f64| Summary::of(own.iter().map(value));
        let cpu = |runs: &[Run]| -> Vec<f64> { runs.iter().map(|run| run.measured.cpu).collect() };
        rows.rows.push(vec![
            case.name.to_owned(),
            variant.to_string(),
            of(|run| run.measured.jobs_per_second).text(0),
            of(|run| run.measured.cpu).text(1),
            ratios(&cpu(own), &cpu(&runs[0])).text(2),
            of(|run| run.handshakes).text(4),
            of(|run| run.resumed).text(2),
        ]);
    }
}
