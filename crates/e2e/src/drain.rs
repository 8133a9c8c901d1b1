//! A worker that drains a queue of so many jobs and ends: for what is counted over a whole run, so that the
//! difference of two runs is the cost of the jobs that one has more.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::child::OwnedChild;
use crate::proxy::{Mode, Proxy};
use crate::quick_sink::QuickSink;
use crate::redis::RedisServer;
use crate::resp::{Connection, Reply};
use crate::wait;

/// The stream of the queue `default`.
pub const STREAM: &str = "postrider:{default}:jobs";
const BODY_BYTES: usize = 512;

/// Puts `ARGV[1]` jobs with the URL `ARGV[2]` and the body `ARGV[3]` into `KEYS[1]`.
const PRELOAD: &str =
    "for _ = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'url', ARGV[2], 'body', ARGV[3]) end";
/// Few enough that no script blocks the server for long.
const PRELOAD_BATCH: usize = 1000;
/// One in so many may be parked or tried again: while valgrind translates the program, a destination seems to stall.
const MOST_WAITED: usize = 100;
/// Under valgrind everything takes fifty times as long.
const PATIENCE: Duration = Duration::from_secs(300);

/// A destination, and a way to Redis, that answer only when the worker has nothing else to do. Whether an answer is there
/// at the first look differs from run to run where they answer at once, and with it what each job costs.
pub struct Late {
    /// Before Redis.
    pub proxy: Proxy,
    /// The destination.
    pub sink: QuickSink,
}

impl Late {
    /// After how long Redis and the destination answer: longer than what the worker does in between takes it, also under
    /// valgrind, and not the same, so that the two answers do not come together.
    const AFTER: [Duration; 2] = [Duration::from_millis(3), Duration::from_millis(5)];

    /// Before that Redis.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub fn new(redis: &RedisServer) -> Late {
        let [of_redis, of_sink] = Late::AFTER;
        let proxy = Proxy::start(redis.port);
        proxy.set(Mode::Slow(of_redis));
        Late { proxy, sink: QuickSink::start(of_sink) }
    }
}

/// What drains, and how.
pub struct Drain<'a> {
    /// The program with what comes before `worker`.
    pub program: &'a [OsString],
    /// Nothing of `OTEL_*` and `POSTRIDER_*` besides.
    pub environment: &'a [(&'a str, &'a str)],
    /// Jobs in the works at once.
    pub in_flight: usize,
    /// What it talks to.
    pub late: &'a Late,
}

impl Drain<'_> {
    /// Runs the worker until `jobs` jobs are done, and returns its standard output.
    ///
    /// # Panics
    ///
    /// When it ends before or not at all, and when more jobs than a few were parked on the way, so that this was no plain run.
    pub fn run(&self, redis: &RedisServer, jobs: usize) -> String {
        let mut connection = redis.connect();
        preload(&mut connection, STREAM, self.late.sink.url(), jobs);
        command(&mut connection, &["CONFIG", "RESETSTAT"]);
        let folder = tempfile::Builder::new().prefix("postrider-drain-").tempdir();
        let folder = folder.expect("the folder for temporary files can be written");
        let [output, log] = ["output", "log"].map(|name| folder.path().join(name));
        let mut child = OwnedChild::spawn(&mut self.command(&output, &log));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
        wait::eventually_or("an empty queue", PATIENCE, || {
            assert!(child.try_wait().is_none(), "the worker ended before its jobs:\n{}", read(&log));
            match left(&mut connection) {
                0 => Ok(()),
                left => Err(format!("{left} jobs")),
            }
        });
        child.signal(Signal::SIGTERM);
        let status = child.wait(PATIENCE).expect("the worker ends on SIGTERM");
        assert!(status.success(), "the worker ended with {status}:\n{}", read(&log));
        // Whatever waits, waits in a sorted set.
        let statistics = command(&mut connection, &["INFO", "commandstats"]).text();
        let (waited, most) = (calls(&statistics, "zadd"), jobs / MOST_WAITED);
        assert!(waited <= most, "{waited} of {jobs} jobs were parked or tried again:\n{}", read(&log));
        read(&output)
    }

    /// What one more job adds to the number that is counted in a run: `count` finds it in the standard output.
    ///
    /// # Panics
    ///
    /// As [`Drain::run`].
    pub fn per_job(&self, redis: &RedisServer, [few, many]: [usize; 2], count: impl Fn(&str) -> f64) -> f64 {
        let [few_cost, many_cost] = [few, many].map(|jobs| count(&self.run(redis, jobs)));
        (many_cost - few_cost) / (many - few) as f64
    }

    fn command(&self, output: &Path, log: &Path) -> Command {
        let (program, arguments) = self.program.split_first().expect("a program has a name");
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("OTEL_") || name.starts_with("POSTRIDER_")) {
                command.env_remove(&name);
            }
        }
        let redis_url = self.late.proxy.redis_url();
        command.args(arguments).args(["worker", "--redis-url", &redis_url, "--queue", "default"]);
        command.args(["--concurrency", &self.in_flight.to_string(), "--egress-allow", "127.0.0.0/8"]);
        // A lease that is extended in one run and not in the other would count for its jobs.
        command.args(["--lease", "10m", "--log", "warn"]).envs(self.environment.iter().copied());
        let file = |path| std::fs::File::create(path).expect("a new folder can be written");
        command.stdin(Stdio::null()).stdout(file(output)).stderr(file(log));
        command
    }
}

/// How often a command was called, by `INFO commandstats`.
fn calls(statistics: &str, command: &str) -> usize {
    let line = statistics.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// Empties Redis and puts `jobs` jobs into a stream.
///
/// # Panics
///
/// When Redis refuses.
pub fn preload(connection: &mut Connection, stream: &str, url: &str, jobs: usize) {
    command(connection, &["FLUSHALL"]);
    add(connection, stream, url, jobs);
}

/// Puts `jobs` jobs into a stream.
///
/// # Panics
///
/// When Redis refuses.
pub fn add(connection: &mut Connection, stream: &str, url: &str, jobs: usize) {
    let body = "x".repeat(BODY_BYTES);
    let mut left = jobs;
    while left > 0 {
        let batch = left.min(PRELOAD_BATCH);
        command(connection, &["EVAL", PRELOAD, "1", stream, &batch.to_string(), url, &body]);
        left -= batch;
    }
}

/// How many jobs of the queue `default` are not done.
///
/// # Panics
///
/// When Redis refuses.
pub fn left(connection: &mut Connection) -> usize {
    let left = command(connection, &["XLEN", STREAM]).integer()
        + command(connection, &["HLEN", "postrider:{default}:waiting"]).integer();
    usize::try_from(left).expect("nothing has a negative length")
}

/// The reply to a command.
///
/// # Panics
///
/// When it is an error.
pub fn command(connection: &mut Connection, arguments: &[&str]) -> Reply {
    match connection.command(arguments).expect("the Redis server answers") {
        Reply::Error(error) => panic!("Redis refuses {}: {error}", arguments[0]),
        reply => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_stand_in_the_statistics() {
        let statistics = "# Commandstats\r\ncmdstat_hset:calls=7,usec=1\r\ncmdstat_zadd:calls=12,usec=3\r\n";
        assert_eq!([calls(statistics, "zadd"), calls(statistics, "xadd")], [12, 0]);
    }
}
