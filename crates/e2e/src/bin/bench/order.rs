//! What order keys cost: jobs of very many keys beside jobs without keys, and jobs of other keys beside one with a long line.

use std::time::{Duration, Instant};

use e2e::drain::{STREAM, command};
use e2e::quick_sink::QuickSink;
use e2e::redis::RedisServer;
use e2e::resp::Connection;
use e2e::wait;

use crate::arguments::Arguments;
use crate::process;
use crate::running::{PATIENCE, Running};
use crate::summary::{Rows, Summary};
use crate::variant::Variant;

/// Jobs of the key with a long line; as many as keys, if these are fewer.
const LINE_MAX: usize = 100_000;
/// What each job of that key takes: its line lasts as long as the measurement.
const LINE_DELAY: Duration = Duration::from_millis(200);
const BATCH: usize = 1_000;

/// Adds `ARGV[2]` jobs from number `ARGV[1]` on, with the order key `ARGV[4]`, in which N is the number; without one if it is empty.
const ADD: &str = "local fields = {'url', ARGV[3], 'body', string.rep('x', 100)}
for n = ARGV[1], ARGV[1] + ARGV[2] - 1 do
  if ARGV[4] ~= '' then
    fields[5], fields[6] = 'order', (string.gsub(ARGV[4], 'N', n))
  end
  redis.call('XADD', KEYS[1], '*', unpack(fields))
end";

/// What is measured.
struct Setup {
    name: &'static str,
    /// The order key of the jobs; N is their number.
    order: &'static str,
    /// Whether another key has a long line.
    is_beside_line: bool,
    /// The setup that it is compared with.
    reference: usize,
    /// The least rate, as a share of the reference's.
    least: f64,
}

const SETUPS: [Setup; 3] = [
    Setup { name: "without order keys", order: "", is_beside_line: false, reference: 0, least: 1.0 },
    Setup { name: "a key for each job", order: "key-N", is_beside_line: false, reference: 0, least: 0.5 },
    Setup {
        name: "the same beside a long line",
        order: "key-N",
        is_beside_line: true,
        reference: 1,
        least: 0.8,
    },
];

/// One run.
struct Run {
    jobs_per_second: f64,
    cpu: f64,
    redis_cpu: f64,
}

/// # Panics
///
/// If a setup is slower than it may be, by the median of the shares in each round.
pub(crate) fn run(arguments: &Arguments, redis: &RedisServer, sink: &QuickSink) -> Rows {
    let slow = QuickSink::start(LINE_DELAY);
    let mut runs: [Vec<Run>; SETUPS.len()] = Default::default();
    for round in 0..arguments.rounds {
        // Every other round in reverse order.
        let mut order: Vec<usize> = (0..SETUPS.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let measured = SETUPS[index].measure(arguments, redis, [sink, &slow]);
            let Run { jobs_per_second, cpu, redis_cpu } = measured;
            eprintln!(
                "round {} of {}: {}: {jobs_per_second:.0} jobs/s, {cpu:.1} µs/job, Redis {redis_cpu:.1} µs/job",
                round + 1,
                arguments.rounds,
                SETUPS[index].name
            );
            runs[index].push(measured);
        }
    }
    command(&mut redis.connect(), &["FLUSHALL"]);
    table(&runs)
}

fn table(runs: &[Vec<Run>; SETUPS.len()]) -> Rows {
    let mut rows = Rows::new(&["jobs", "jobs/s", "CPU µs/job", "Redis CPU µs/job", "rate to the reference"]);
    let mut too_slow = vec![];
    for (setup, own) in SETUPS.iter().zip(runs) {
        let of = |value: fn(&Run) -> f64| Summary::of(own.iter().map(value));
        let reference = &runs[setup.reference];
        let share =
            Summary::of(own.iter().zip(reference).map(|(own, to)| own.jobs_per_second / to.jobs_per_second));
        if share.median < setup.least {
            too_slow.push(format!("{}: {:.2}, at least {}", setup.name, share.median, setup.least));
        }
        rows.rows.push(vec![
            setup.name.to_owned(),
            of(|run| run.jobs_per_second).text(0),
            of(|run| run.cpu).text(1),
            of(|run| run.redis_cpu).text(1),
            share.text(2),
        ]);
    }
    assert!(too_slow.is_empty(), "{rows}\ntoo slow: {}", too_slow.join("; "));
    rows
}

impl Setup {
    fn measure(&self, arguments: &Arguments, redis: &RedisServer, [sink, slow]: [&QuickSink; 2]) -> Run {
        let in_flight = arguments.in_flight.unwrap_or(64);
        let mut connection = redis.connect();
        command(&mut connection, &["FLUSHALL"]);
        if self.is_beside_line {
            make_line(&mut connection, redis, slow, LINE_MAX.min(arguments.keys));
        }
        add(&mut connection, sink.url(), self.order, arguments.keys);
        let (server, before) = (process::of_server(&mut connection), sink.requests());
        let running = Variant::Lean.start(&redis.url(), in_flight, 0);
        let until = |jobs: usize| {
            wait::eventually_or(&format!("{jobs} jobs, {}", self.name), PATIENCE, || {
                let done = sink.requests() - before;
                let program = process::usage(running.process());
                assert!(!program.ended, "the worker ended after {done} jobs:\n{}", running.log());
                let used = [program.time, process::usage(server).time];
                if done >= jobs { Ok((done, Instant::now(), used)) } else { Err(done) }
            })
        };
        let first = until(arguments.keys.div_ceil(20));
        // In parts, since a busy machine may need longer than the patience for all.
        let mut last = first;
        for part in 2..=20 {
            last = until(arguments.keys * part / 20);
        }
        let (done, end, used) = last;
        let jobs = (done - first.0) as f64;
        assert!(jobs > 0.0, "{} jobs are too few: all were done at the first check", arguments.keys);
        let micros = |index: usize| (used[index] - first.2[index]).as_secs_f64() * 1e6 / jobs;
        let time = end - first.1;
        Run { jobs_per_second: jobs / time.as_secs_f64(), cpu: micros(0), redis_cpu: micros(1) }
    }
}

/// Makes a line: a worker fetches its jobs, which then wait for the first one.
fn make_line(connection: &mut Connection, redis: &RedisServer, slow: &QuickSink, jobs: usize) {
    add(connection, slow.url(), "line", jobs);
    let mut worker: Running = Variant::Lean.start(&redis.url(), 64, 0);
    // Some of them have ended by then.
    let enough = jobs as i64 * 9 / 10;
    wait::eventually_or("a line", PATIENCE, || {
        let [ready, waiting] = [["XLEN", STREAM], ["HLEN", "postrider:{default}:order_waiting"]]
            .map(|words| command(connection, &words).integer());
        if ready <= 64 && waiting >= enough { Ok(()) } else { Err(format!("{ready} ready, {waiting} wait")) }
    });
    worker.stop();
}

fn add(connection: &mut Connection, url: &str, order: &str, jobs: usize) {
    for first in (0..jobs).step_by(BATCH) {
        let (count, first) = (BATCH.min(jobs - first).to_string(), first.to_string());
        command(connection, &["EVAL", ADD, "1", STREAM, &first, &count, url, order]);
    }
}
