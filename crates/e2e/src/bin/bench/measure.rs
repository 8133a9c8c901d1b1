//! One run of one variant, from its first settled job to its last.

use std::fmt::Display;
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::drain::{self, STREAM, command};
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::resp::Connection;
use e2e::wait;

use crate::process::{self, Usage};
use crate::running::{PATIENCE, Running};
use crate::variant::Variant;

/// The result of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    pub(crate) jobs_per_second: f64,
    /// Processor time of the measured process, in microseconds for each job.
    pub(crate) cpu: f64,
    /// The same for Redis.
    pub(crate) redis_cpu: f64,
    /// The peak resident memory of the process, in MiB.
    pub(crate) memory: f64,
    /// For a variant that exports.
    pub(crate) spans: Option<Spans>,
}

/// The spans of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spans {
    /// Received per job.
    pub(crate) received: f64,
    /// Lost in total, as logged by the worker.
    pub(crate) lost: f64,
}

impl Display for Measurement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Measurement { jobs_per_second, cpu, redis_cpu, memory, .. } = self;
        write!(
            formatter,
            "{jobs_per_second:.0} jobs/s, {cpu:.1} µs/job, Redis {redis_cpu:.1} µs/job, {memory:.1} MiB"
        )
    }
}

/// The load of a run.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) jobs: usize,
    pub(crate) in_flight: usize,
    /// Jobs that are settled before the measurement starts.
    pub(crate) warm_up: usize,
}

/// Where the jobs go, in turn, and the length of their bodies.
pub(crate) struct Target<'a> {
    pub(crate) urls: Vec<&'a str>,
    /// The certificate that programs must trust, if the destination uses TLS.
    pub(crate) certificate: Option<&'a Path>,
    pub(crate) body_bytes: usize,
}

impl<'a> Target<'a> {
    pub(crate) fn of(sink: &'a QuickSink) -> Self {
        Self { urls: vec![sink.url()], certificate: None, body_bytes: drain::BODY_BYTES }
    }
}

/// The state of a run at one moment.
pub(crate) struct Moment {
    /// Jobs not yet settled.
    pub(crate) left: usize,
    pub(crate) time: Instant,
    pub(crate) program: Usage,
    pub(crate) redis: Usage,
}

/// Fills the queue, starts the program, and measures until the queue is empty.
///
/// # Panics
///
/// If the program ends or stalls before that.
pub(crate) fn run(variant: Variant, redis: &RedisServer, target: &Target, load: Load) -> Measurement {
    let mut connection = redis.connect();
    command(&mut connection, &["FLUSHALL"]);
    drain::add_with(&mut connection, STREAM, &target.urls, load.jobs, target.body_bytes);
    let server = process::of_server(&mut connection);
    let mut running = variant.start_trusting(&redis.url(), load.in_flight, load.jobs, target.certificate);
    let mut memory = 0.0;
    let mut until = |what: &str, left: usize| {
        wait::eventually(&format!("{variant}: {what}"), PATIENCE, || {
            let moment = look(&mut connection, &running, server);
            memory = process::peak_memory(running.process()).unwrap_or(memory);
            let ended = moment.program.ended && moment.left > left;
            assert!(!ended, "{variant} ended with {} jobs left:\n{}", moment.left, running.log());
            (moment.left <= left).then_some(moment)
        })
    };
    let first = until("the first job is settled", load.jobs - 1 - load.warm_up.min(load.jobs / 2));
    let last = until("the last job is settled", 0);
    assert!(first.left > 0, "{} jobs are too few: all were done at the first check", load.jobs);

    let jobs = first.left as f64;
    let micros = |from: Usage, to: Usage| (to.time - from.time).as_secs_f64() * 1e6 / jobs;
    let received = running.exported_spans();
    Measurement {
        jobs_per_second: jobs / (last.time - first.time).as_secs_f64(),
        cpu: micros(first.program, last.program),
        redis_cpu: micros(first.redis, last.redis),
        memory,
        spans: received.map(|spans| Spans {
            received: spans as f64 / load.jobs as f64,
            lost: running.lost_spans() as f64,
        }),
    }
}

pub(crate) fn look(connection: &mut Connection, running: &Running, server: u32) -> Moment {
    let left = drain::left(connection);
    let (program, redis) = (process::usage(running.process()), process::usage(server));
    Moment { left, time: Instant::now(), program, redis }
}

/// The time from enqueue to the destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Latency {
    pub(crate) fn of(mut all: Vec<Duration>) -> Latency {
        all.sort_unstable();
        let at = |hundredths: usize| all[(all.len() * hundredths / 100).min(all.len() - 1)];
        Latency { p50: at(50), p99: at(99) }
    }
}

/// Jobs per second, to a program that has nothing else to do.
pub(crate) const LATENCY_RATE: u32 = 500;

/// Enqueues jobs at [`LATENCY_RATE`] and measures their latency.
///
/// # Panics
///
/// If they do not arrive.
pub(crate) fn latency(variant: Variant, redis: &RedisServer, sink: &QuickSink, jobs: u32) -> Latency {
    let mut connection = redis.connect();
    command(&mut connection, &["FLUSHALL"]);
    // The first jobs are for connections and other one-time work.
    let warm_up = jobs / 10 + 1;
    let mut running = variant.start(&redis.url(), 64, (warm_up + jobs) as usize);
    let latency =
        paced_latency(&running, sink, LATENCY_RATE, [warm_up, jobs], || enqueue(&mut connection, sink));
    if !variant.is_bare() {
        running.stop();
    }
    latency
}

/// Enqueues jobs, `rate` of them a second: the first number for what is done once, and the second to measure their latency.
///
/// # Panics
///
/// If they do not arrive.
pub(crate) fn paced_latency(
    running: &Running,
    sink: &QuickSink,
    rate: u32,
    [warm_up, jobs]: [u32; 2],
    mut enqueue: impl FnMut(),
) -> Latency {
    let before = sink.requests() + warm_up as usize;
    paced(rate, warm_up, &mut enqueue);
    sink_has(sink, running, before);
    sink.take_latencies();
    paced(rate, jobs, &mut enqueue);
    sink_has(sink, running, before + jobs as usize);
    Latency::of(sink.take_latencies())
}

/// Enqueues jobs, `rate` of them a second.
fn paced(rate: u32, jobs: u32, mut enqueue: impl FnMut()) {
    let start = Instant::now();
    for job in 0..jobs {
        // Relative to the start, so that one late job does not delay all later ones.
        let due = start + Duration::from_secs(1) * job / rate;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        enqueue();
    }
}

/// Adds a stamped job to the queue.
pub(crate) fn enqueue(connection: &mut Connection, sink: &QuickSink) {
    let body = sink.stamped_body();
    command(connection, &["XADD", STREAM, "*", "url", sink.url(), "body", &body]);
}

/// Waits until the destination has got this number of requests.
///
/// # Panics
///
/// If the program ends before.
pub(crate) fn sink_has(sink: &QuickSink, running: &Running, requests: usize) {
    wait::eventually_or(&format!("{requests} requests"), PATIENCE, || match sink.requests() {
        seen if seen >= requests => Ok(()),
        seen => {
            // The bare loop exits when all jobs are done, which is after it has sent them.
            let ended = process::usage(running.process()).ended && sink.requests() < requests;
            assert!(!ended, "the program ended after {seen} requests:\n{}", running.log());
            Err(format!("{seen}"))
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let latency = Latency::of((0..200).rev().map(Duration::from_millis).collect());
        assert_eq!((latency.p50.as_millis(), latency.p99.as_millis()), (100, 198));
    }
}
