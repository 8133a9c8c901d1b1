//! One run of one variant, from its first settled job to its last.

use std::fmt::Display;
use std::time::{Duration, Instant};

use e2e::redis::RedisServer;
use e2e::resp::{Connection, Reply};
use e2e::wait;

use crate::arguments::Arguments;
use crate::cpu::{self, Usage};
use crate::variant::{Running, Variant};

/// How long one run may take, and a worker to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const STREAM: &str = "postrider:{default}:jobs";
const BODY_BYTES: usize = 512;

/// Puts `ARGV[1]` jobs with the URL `ARGV[2]` and the body `ARGV[3]` into `KEYS[1]`.
const PRELOAD: &str =
    "for _ = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'url', ARGV[2], 'body', ARGV[3]) end";
/// Few enough that no script blocks the server for long.
const PRELOAD_BATCH: usize = 1000;

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    pub(crate) jobs_per_second: f64,
    /// Processor time of the measured process, in microseconds for each job.
    pub(crate) cpu: f64,
    /// The same of Redis.
    pub(crate) redis_cpu: f64,
    /// Spans for each job that reached the receiver. Fewer than a job has: some were dropped, unpaid for.
    pub(crate) spans: Option<f64>,
}

impl Display for Measurement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Measurement { jobs_per_second, cpu, redis_cpu, .. } = self;
        write!(formatter, "{jobs_per_second:.0} jobs/s, {cpu:.1} µs/job, Redis {redis_cpu:.1} µs/job")
    }
}

/// The state of a run at one moment.
struct Moment {
    /// Jobs not yet settled.
    left: usize,
    time: Instant,
    program: Usage,
    redis: Usage,
}

/// Fills the queue, starts the program, and measures until the queue is empty.
///
/// # Panics
///
/// When the program ends or stands still before that.
pub(crate) fn run(variant: Variant, redis: &RedisServer, url: &str, arguments: &Arguments) -> Measurement {
    let mut connection = redis.connect();
    preload(&mut connection, url, arguments.jobs);
    let server = server_process(&mut connection);
    let mut running = variant.start(&redis.url(), arguments);
    let mut until = |what: &str, left: usize| {
        wait::eventually(&format!("{variant}: {what}"), PATIENCE, || {
            let moment = look(&mut connection, &running, server);
            let ended = moment.program.ended && moment.left > left;
            assert!(!ended, "{variant} ended with {} jobs left:\n{}", moment.left, running.log());
            (moment.left <= left).then_some(moment)
        })
    };
    let first = until("the first job is settled", arguments.jobs - 1);
    let last = until("the last job is settled", 0);
    assert!(first.left > 0, "{} jobs are too few: all were done at the first look", arguments.jobs);

    let jobs = first.left as f64;
    let micros = |from: Usage, to: Usage| (to.time - from.time).as_secs_f64() * 1e6 / jobs;
    Measurement {
        jobs_per_second: jobs / (last.time - first.time).as_secs_f64(),
        cpu: micros(first.program, last.program),
        redis_cpu: micros(first.redis, last.redis),
        spans: running.exported_spans().map(|spans| spans as f64 / arguments.jobs as f64),
    }
}

fn look(connection: &mut Connection, running: &Running, server: u32) -> Moment {
    let left = usize::try_from(command(connection, &["XLEN", STREAM]).integer());
    let left = left.expect("a stream has no negative length");
    let (program, redis) = (cpu::usage(running.process()), cpu::usage(server));
    Moment { left, time: Instant::now(), program, redis }
}

/// Empties Redis and puts `jobs` jobs into the queue.
fn preload(connection: &mut Connection, url: &str, jobs: usize) {
    command(connection, &["FLUSHALL"]);
    let body = "x".repeat(BODY_BYTES);
    let mut left = jobs;
    while left > 0 {
        let batch = left.min(PRELOAD_BATCH);
        command(connection, &["EVAL", PRELOAD, "1", STREAM, &batch.to_string(), url, &body]);
        left -= batch;
    }
}

fn server_process(connection: &mut Connection) -> u32 {
    let info = command(connection, &["INFO", "server"]).text();
    let process = info.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());
    process.expect("INFO server of Redis has a process_id")
}

fn command(connection: &mut Connection, arguments: &[&str]) -> Reply {
    match connection.command(arguments).expect("the Redis server of the bench answers") {
        Reply::Error(error) => panic!("Redis refuses {}: {error}", arguments[0]),
        reply => reply,
    }
}
