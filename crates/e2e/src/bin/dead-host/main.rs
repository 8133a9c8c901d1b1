//! The cost of one dead destination among a hundred for the other ninety-nine.
//!
//! Each round drains a queue with jobs for a hundred destinations twice: once all of them respond at once,
//! and once one of them accepts connections but never responds. Every other round runs them in reverse order.
//! The result is the throughput of the ninety-nine that respond in both, as a ratio within one round, because
//! machines drift.
//!
//! Run it with `cargo xtask bench --dead-host`, which builds the programs and passes their paths.

mod destinations;

use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use destinations::Destinations;
use e2e::redis::RedisServer;
use e2e::wait;

const DESTINATIONS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(120);
const STREAM: &str = "postrider:{default}:jobs";

/// Adds `ARGV[1]` jobs for each of the URLs from `ARGV[2]` on to `KEYS[1]`, one for each in turn.
const PRELOAD: &str = "for _ = 1, ARGV[1] do for i = 2, #ARGV do \
                       redis.call('XADD', KEYS[1], '*', 'url', ARGV[i], 'body', string.rep('x', 512)) end end";

/// A worker. It is killed and reaped when dropped.
struct Worker(Child);

impl Worker {
    fn start(redis: &RedisServer, in_flight: usize) -> Worker {
        let program = std::env::var_os("POSTRIDER_LEAN_BIN").filter(|path| !path.is_empty());
        let program = program.expect(
            "POSTRIDER_LEAN_BIN is not set: run `cargo xtask bench --dead-host`, which builds the worker",
        );
        let mut command = Command::new(program);
        command.args(["worker", "--redis-url", &redis.url(), "--queue", "default", "--log", "error"]);
        command.args(["--concurrency", &in_flight.to_string(), "--egress-allow", "127.0.0.0/8"]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        Worker(command.spawn().expect("the worker can be started"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // These fail if it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    let Some([rounds, jobs, in_flight]) = numbers() else {
        eprintln!("dead-host: give --rounds=N, --jobs=N and --in-flight=N, each at least 1");
        return ExitCode::from(2);
    };
    let redis = RedisServer::start();
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let measure = |one_is_dead| throughput(&redis, jobs, in_flight, one_is_dead);
        let [alive, dead] = if round % 2 == 0 {
            [false, true].map(measure)
        } else {
            let [dead, alive] = [true, false].map(measure);
            [alive, dead]
        };
        eprintln!("round {} of {rounds}: {alive:.0} jobs/s, with a dead destination {dead:.0}", round + 1);
        ratios.push(dead / alive);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let [least, median, most] = [0, ratios.len() / 2, ratios.len() - 1].map(|index| ratios[index]);
    println!(
        "beside a dead destination the others keep {median:.2} ({least:.2}–{most:.2}) of their throughput"
    );
    ExitCode::SUCCESS
}

fn numbers() -> Option<[usize; 3]> {
    let mut numbers = [5, 50_000, 64];
    for word in std::env::args().skip(1) {
        let (name, value) = word.split_once('=')?;
        let index = ["--rounds", "--jobs", "--in-flight"].iter().position(|known| *known == name)?;
        numbers[index] = value.parse().ok().filter(|number| *number > 0)?;
    }
    Some(numbers)
}

/// Jobs per second of the destinations that respond in both runs, from their first response to their last.
fn throughput(redis: &RedisServer, jobs: usize, in_flight: usize, one_is_dead: bool) -> f64 {
    let destinations = Destinations::start(DESTINATIONS - 1);
    redis.command(&["FLUSHALL"]);
    let mut urls = destinations.urls();
    urls.push(if one_is_dead { destinations.dead_url() } else { destinations.one_more_url() });
    let rest = jobs.div_ceil(DESTINATIONS);
    for _ in 0..rest.div_ceil(10) {
        let mut preload = vec!["EVAL", PRELOAD, "1", STREAM, "10"];
        preload.extend(urls.iter().map(String::as_str));
        redis.command(&preload);
    }
    let expected = rest.div_ceil(10) * 10 * (DESTINATIONS - 1);
    let _worker = Worker::start(redis, in_flight);
    wait::eventually("the first answer", PATIENCE, || (destinations.answers() > 0).then_some(()));
    let (began, before) = (Instant::now(), destinations.answers());
    wait::eventually_or("the last answer", PATIENCE, || match destinations.answers() {
        answers if answers >= expected => Ok(()),
        answers => Err(format!("{answers} of {expected}")),
    });
    (expected - before) as f64 / began.elapsed().as_secs_f64()
}
