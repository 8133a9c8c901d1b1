//! Other systems that take jobs out of Redis beside the bare loop and the worker: the same Redis, destination and body, and as many
//! jobs in flight.
//!
//! Each has its jobs in its own form, made by its own producer. A run first drains a queue, and then gets jobs at a steady rate.

use std::fmt::Display;
use std::time::{Duration, Instant};

use e2e::drain::{self, STREAM, command};
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::wait;

use crate::arguments::Arguments;
use crate::enqueue::{in_turn, ratios};
use crate::measure::{self, Latency, Load};
use crate::peer::Peer;
use crate::process;
use crate::running::{PATIENCE, Running, counting_receiver};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

/// Jobs per second after a queue is drained: few for the slowest.
const RATE: u32 = 100;
/// Of those, the number whose latency counts.
const PACED: u32 = 300;
/// And before them, for connections and other work that is done once.
const PACED_BEFORE: u32 = 30;
/// The share of a queue after which the measurement starts: programs that are compiled as they run are slow before.
const WARM_UP: usize = 10;

const OURS: [Variant; 4] = [Variant::Bare, Variant::Lean, Variant::OtelOff, Variant::OtelOn];
const HEADER: [&str; 10] = [
    "",
    "jobs",
    "jobs/s",
    "CPU µs/job",
    "to bare",
    "Redis µs/job",
    "p99 ms",
    "PSS MiB",
    "processes",
    "spans/job",
];

/// What is measured.
#[derive(Clone, Copy)]
enum Subject {
    Ours(Variant),
    Peer { peer: &'static Peer, telemetry: bool },
}

/// The result of one run.
struct Run {
    jobs_per_second: f64,
    /// Processor time of all its processes, in microseconds for each job.
    cpu: f64,
    /// The same of Redis.
    redis_cpu: f64,
    p99: Duration,
    /// Of all its processes after the queue is drained, in MiB.
    memory: f64,
    processes: usize,
    /// Received for each job.
    spans: Option<f64>,
}

/// The state of a run at one moment.
struct Moment {
    /// Requests that the destination has got.
    requests: usize,
    time: Instant,
    /// The processor time of each of its processes.
    processes: Vec<(u32, Duration)>,
    redis: Duration,
}

pub(crate) fn run(
    arguments: &Arguments,
    redis: &RedisServer,
    sink: &QuickSink,
    peers: &[&'static Peer],
) -> Rows {
    let peers =
        peers.iter().flat_map(|&peer| [false, true].map(|telemetry| Subject::Peer { peer, telemetry }));
    let subjects: Vec<Subject> = OURS.map(Subject::Ours).into_iter().chain(peers).collect();
    let mut runs: Vec<Vec<Run>> = subjects.iter().map(|_| vec![]).collect();
    for round in 0..arguments.rounds {
        for index in in_turn(round, subjects.len()) {
            let run = subjects[index].run(arguments, redis, sink);
            eprintln!("round {} of {}: {}: {run}", round + 1, arguments.rounds, subjects[index]);
            runs[index].push(run);
        }
    }
    command(&mut redis.connect(), &["FLUSHALL"]);
    let mut rows = Rows::new(&HEADER);
    for (subject, own) in subjects.iter().zip(&runs) {
        rows.rows.push(row(subject, subject.jobs(arguments), own, &runs[0]));
    }
    rows
}

fn row(subject: &Subject, jobs: usize, own: &[Run], bare: &[Run]) -> Vec<String> {
    let of = |value: fn(&Run) -> f64| Summary::of(own.iter().map(value));
    let cpu = |runs: &[Run]| runs.iter().map(|run| run.cpu).collect::<Vec<f64>>();
    let spans: Option<Vec<f64>> = own.iter().map(|run| run.spans).collect();
    vec![
        subject.to_string(),
        jobs.to_string(),
        of(|run| run.jobs_per_second).text(0),
        of(|run| run.cpu).text(1),
        ratios(&cpu(own), &cpu(bare)).text(1),
        of(|run| run.redis_cpu).text(1),
        of(|run| run.p99.as_secs_f64() * 1e3).text(2),
        of(|run| run.memory).text(0),
        of(|run| run.processes as f64).text(0),
        spans.map_or_else(|| "–".to_owned(), |spans| Summary::of(spans).text(2)),
    ]
}

impl Subject {
    fn jobs(self, arguments: &Arguments) -> usize {
        match self {
            Subject::Ours(_) => arguments.jobs,
            Subject::Peer { peer, .. } => (arguments.jobs / peer.share).max(100),
        }
    }

    fn run(self, arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Run {
        let load = Load {
            jobs: self.jobs(arguments),
            in_flight: arguments.in_flight.unwrap_or(64),
            warm_up: self.jobs(arguments) / WARM_UP,
        };
        let server = process::of_server(&mut redis.connect());
        let before = sink.requests();
        let all = load.jobs + (PACED_BEFORE + PACED) as usize;
        let mut running = self.filled(redis, sink, load, all);
        let first = self.until(&running, sink, server, before + load.warm_up);
        let last = self.until(&running, sink, server, before + load.jobs);
        assert!(last.requests > first.requests, "{} jobs are too few", load.jobs);
        let memory = last.processes.iter().filter_map(|(process, _)| process::memory(*process)).sum();
        let Latency { p99, .. } = self.latency(&running, redis, sink);

        let jobs = (last.requests - first.requests) as f64;
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / jobs;
        Run {
            jobs_per_second: jobs / (last.time - first.time).as_secs_f64(),
            cpu: micros(self.spent(&first, &last)),
            redis_cpu: micros(last.redis - first.redis),
            p99,
            memory,
            processes: last.processes.len(),
            spans: running.exported_spans().map(|spans| spans as f64 / all as f64),
        }
    }

    /// Empties Redis, adds the jobs and starts the program, which will get `all` jobs.
    fn filled(self, redis: &RedisServer, sink: &QuickSink, load: Load, all: usize) -> Running {
        let mut connection = redis.connect();
        let start = || self.start(&redis.url(), load.in_flight, all);
        let Subject::Peer { peer, .. } = self else {
            drain::preload(&mut connection, STREAM, &[sink.url()], load.jobs);
            return start();
        };
        command(&mut connection, &["FLUSHALL"]);
        let fill = |jobs| peer.enqueuer(&redis.url(), sink.url()).fill(&"x".repeat(drain::BODY_BYTES), jobs);
        if !peer.is_filled_late {
            fill(load.jobs);
            return start();
        }
        let before = sink.requests();
        let running = start();
        fill(1);
        measure::sink_has(sink, &running, before + 1);
        fill(load.jobs - 1);
        running
    }

    fn start(self, redis_url: &str, in_flight: usize, jobs: usize) -> Running {
        match self {
            Subject::Ours(variant) => variant.start(redis_url, in_flight, jobs),
            Subject::Peer { peer, telemetry } => {
                let receiver = telemetry.then(counting_receiver);
                let endpoint = receiver.as_ref().map(|receiver| receiver.endpoint(peer.protocol));
                let environment = endpoint.iter().flat_map(|endpoint| {
                    [
                        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
                        ("OTEL_EXPORTER_OTLP_PROTOCOL", peer.protocol),
                        ("OTEL_METRICS_EXPORTER", "otlp"),
                        ("OTEL_LOGS_EXPORTER", "none"),
                    ]
                });
                let environment: Vec<(&str, &str)> = environment.collect();
                let command = peer.worker(redis_url, in_flight);
                Running::start(peer.name, command, &environment, None, receiver).0
            }
        }
    }

    /// Waits until the destination has got this number of requests.
    fn until(self, running: &Running, sink: &QuickSink, server: u32, requests: usize) -> Moment {
        wait::eventually_or(&format!("{self}: {requests} requests"), PATIENCE, || {
            let seen = sink.requests();
            if seen < requests {
                let ended = process::usage(running.process()).ended && sink.requests() < requests;
                assert!(!ended, "{self} ended after {seen} requests:\n{}", running.log());
                return Err(format!("{seen}; its log:\n{}", running.log()));
            }
            let processes = process::tree(running.process()).into_iter();
            let processes = processes.map(|process| (process, process::usage(process).time)).collect();
            let redis = process::usage(server).time;
            Ok(Moment { requests: seen, time: Instant::now(), processes, redis })
        })
    }

    /// The processor time of all its processes between two moments.
    fn spent(self, first: &Moment, last: &Moment) -> Duration {
        let time = |moment: &Moment| moment.processes.iter().map(|(_, time)| *time).sum::<Duration>();
        let has_ended =
            |(process, _): &(u32, Duration)| !last.processes.iter().any(|(own, _)| own == process);
        assert!(
            !first.processes.iter().any(has_ended),
            "{self}: one of its processes ended, and with it its time"
        );
        time(last) - time(first)
    }

    /// Enqueues jobs at [`RATE`], and measures those after the first ones.
    fn latency(self, running: &Running, redis: &RedisServer, sink: &QuickSink) -> Latency {
        let jobs = [PACED_BEFORE, PACED];
        match self {
            Subject::Ours(_) => {
                let mut connection = redis.connect();
                measure::paced_latency(running, sink, RATE, jobs, || measure::enqueue(&mut connection, sink))
            }
            Subject::Peer { peer, .. } => {
                let mut enqueuer = peer.enqueuer(&redis.url(), sink.url());
                measure::paced_latency(running, sink, RATE, jobs, || enqueuer.enqueue(&sink.stamped_body()))
            }
        }
    }
}

impl Display for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Ours(variant) => variant.fmt(formatter),
            Subject::Peer { peer, telemetry } => {
                write!(formatter, "{}, otel {}", peer.name, if *telemetry { "on" } else { "off" })
            }
        }
    }
}

impl Display for Run {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run { jobs_per_second, cpu, redis_cpu, memory, p99, processes, spans } = self;
        write!(
            formatter,
            "{jobs_per_second:.0} jobs/s, {cpu:.1} µs/job, Redis {redis_cpu:.1} µs/job, p99 {p99:?}, {memory:.1} MiB in \
             {processes} processes, {spans:?} spans/job"
        )
    }
}
