//! Very many concurrent requests to destinations that take long: jobs a second, and the memory of each request.
//!
//! The limit of a row is what the slots allow: their number, divided by the latency. One destination gets seven eighths of
//! the slots. Where the processor allows less, the limit is the rate of the same worker to a destination without latency.

use std::path::Path;
use std::time::Duration;

use e2e::drain::{self, STREAM, command};
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::secure_sink::{Protocol, SecureSink};
use e2e::wait;

use crate::arguments::Arguments;
use crate::measure;
use crate::process::{self, Usage};
use crate::running::PATIENCE;
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(1);
/// Requests in flight to the destination without latency: enough to keep the worker busy.
const QUICK_IN_FLIGHT: usize = 64;

/// A third of the jobs that are delivered before the measurement, at least.
const JOBS_MIN: usize = 5_000;

/// Destinations of one protocol.
struct Group {
    name: &'static str,
    /// `None` without TLS.
    protocol: Option<Protocol>,
    hosts: &'static [u16],
    latencies: &'static [Duration],
}

const GROUPS: [Group; 3] = [
    Group { name: "HTTP", protocol: None, hosts: &[1, 100, 5000], latencies: &[SHORT, LONG] },
    Group { name: "HTTPS, HTTP/1.1", protocol: Some(Protocol::Http1), hosts: &[1, 100], latencies: &[LONG] },
    Group { name: "HTTPS, HTTP/2", protocol: Some(Protocol::Http2), hosts: &[1, 100], latencies: &[LONG] },
];

/// A number of hosts and their latency.
type Case = (u16, Duration);

impl Group {
    /// One destination without latency, then each latency with each number of hosts.
    fn cases(&self) -> Vec<Case> {
        let slow =
            self.latencies.iter().flat_map(|latency| self.hosts.iter().map(move |hosts| (*hosts, *latency)));
        [(1, Duration::ZERO)].into_iter().chain(slow).collect()
    }
}

enum Sink {
    Plain(QuickSink),
    Secure(SecureSink),
}

impl Sink {
    fn start(group: &Group, hosts: u16, latency: Duration) -> Sink {
        match group.protocol {
            None => Sink::Plain(QuickSink::start_at(hosts, latency)),
            Some(protocol) => {
                let hosts = u8::try_from(hosts).expect("a group with TLS has few hosts");
                Sink::Secure(SecureSink::start_slow(protocol, hosts, latency))
            }
        }
    }

    fn urls(&self) -> Vec<&str> {
        let urls = match self {
            Sink::Plain(sink) => sink.urls(),
            Sink::Secure(sink) => sink.urls(),
        };
        urls.iter().map(String::as_str).collect()
    }

    fn certificate(&self) -> Option<&Path> {
        match self {
            Sink::Plain(_) => None,
            Sink::Secure(sink) => Some(sink.certificate()),
        }
    }

    fn under_way(&self) -> usize {
        match self {
            Sink::Plain(sink) => sink.under_way(),
            Sink::Secure(sink) => sink.under_way(),
        }
    }
}

/// One run, from the end of the warm-up until few jobs are left.
struct Run {
    jobs_per_second: f64,
    /// The same, divided by what was possible.
    share: f64,
    /// Requests that the destination had not answered: the mean over the run.
    in_flight: f64,
    /// Resident bytes more than before the first job, for each of these.
    bytes_each: f64,
    cpu: f64,
    redis_cpu: f64,
}

pub(crate) fn run(arguments: &Arguments, redis: &RedisServer) -> Rows {
    let mut rows = Rows::new(&[
        "",
        "hosts",
        "latency",
        "jobs/s",
        "of the limit",
        "in flight",
        "KB each",
        "CPU µs/job",
        "Redis µs/job",
    ]);
    for group in &GROUPS {
        let cases = group.cases();
        let mut runs: Vec<Vec<Run>> = cases.iter().map(|_| vec![]).collect();
        for round in 0..arguments.rounds {
            let name = format!("round {} of {}: {}", round + 1, arguments.rounds, group.name);
            for (runs, run) in runs.iter_mut().zip(measure_all(group, &cases, arguments, redis, &name)) {
                runs.push(run);
            }
        }
        rows.rows.extend(cases.iter().zip(&runs).map(|(case, runs)| row(group, *case, runs)));
    }
    rows
}

/// Measures each case once. The first one has no latency.
fn measure_all(
    group: &Group,
    cases: &[Case],
    arguments: &Arguments,
    redis: &RedisServer,
    name: &str,
) -> Vec<Run> {
    let mut most = f64::INFINITY;
    let measure = |case: &Case| {
        let (hosts, latency) = *case;
        let in_flight =
            if latency.is_zero() { QUICK_IN_FLIGHT } else { arguments.in_flight.unwrap_or(10_000) };
        let mut run = measure(group, *case, in_flight, redis);
        if latency.is_zero() {
            most = run.jobs_per_second;
        }
        run.share = run.jobs_per_second / most.min(allowed(hosts, latency, in_flight));
        let Run { jobs_per_second, share, cpu, .. } = run;
        let each = run.bytes_each / 1e3;
        eprintln!(
            "{name}, {hosts} hosts, {latency:?}: {jobs_per_second:.0} jobs/s, {share:.2}, {each:.1} KB, {cpu:.1} µs"
        );
        run
    };
    cases.iter().map(measure).collect()
}

/// Jobs a second that the slots allow.
fn allowed(hosts: u16, latency: Duration, in_flight: usize) -> f64 {
    let usable = if hosts == 1 { in_flight - in_flight / 8 } else { in_flight };
    usable as f64 / latency.as_secs_f64()
}

fn row(group: &Group, (hosts, latency): Case, runs: &[Run]) -> Vec<String> {
    let of = |value: fn(&Run) -> f64, decimals| Summary::of(runs.iter().map(value)).text(decimals);
    let with_latency =
        |value, decimals| if latency.is_zero() { "–".to_owned() } else { of(value, decimals) };
    vec![
        group.name.to_owned(),
        hosts.to_string(),
        format!("{latency:?}"),
        of(|run| run.jobs_per_second, 0),
        with_latency(|run| run.share, 2),
        with_latency(|run| run.in_flight, 0),
        with_latency(|run| run.bytes_each / 1e3, 1),
        of(|run| run.cpu, 1),
        of(|run| run.redis_cpu, 1),
    ]
}

fn measure(group: &Group, (hosts, latency): Case, in_flight: usize, redis: &RedisServer) -> Run {
    let sink = Sink::start(group, hosts, latency);
    let mut connection = redis.connect();
    command(&mut connection, &["FLUSHALL"]);
    let running = Variant::Lean.start_trusting(&redis.url(), in_flight, 0, sink.certificate());
    running.wait_until_ready(1);
    let idle = process::resident(running.process()).expect("the worker runs");
    // A destination's window opens with its responses, so the first waves are smaller. At the end, too few jobs are left.
    let [warm_up, measured, rest] = [3, 6, 2].map(|times| times * in_flight.max(JOBS_MIN));
    drain::add(&mut connection, STREAM, &sink.urls(), warm_up + measured + rest);
    let server = process::of_server(&mut connection);
    let (mut under_way, mut resident) = (vec![], vec![]);
    let mut until = |what: &str, most: usize| {
        under_way.clear();
        resident.clear();
        wait::eventually(what, PATIENCE, || {
            let moment = measure::look(&mut connection, &running, server);
            assert!(!moment.program.ended, "the worker ended:\n{}", running.log());
            under_way.push(sink.under_way() as f64);
            resident.extend(process::resident(running.process()));
            (moment.left <= most).then_some(moment)
        })
    };
    let first = until("the end of the warm-up", measured + rest);
    let last = until("the end of the measurement", rest);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let jobs = (first.left - last.left) as f64;
    let micros = |from: Usage, to: Usage| (to.time - from.time).as_secs_f64() * 1e6 / jobs;
    Run {
        jobs_per_second: jobs / (last.time - first.time).as_secs_f64(),
        share: 0.0,
        in_flight: mean(&under_way),
        bytes_each: (mean(&resident) - idle) * f64::from(1 << 20) / mean(&under_way),
        cpu: micros(first.program, last.program),
        redis_cpu: micros(first.redis, last.redis),
    }
}
