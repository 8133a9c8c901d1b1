//! A worker that drains a queue of a given number of jobs and ends. A measurement covers a whole run; the
//! difference of two runs is the cost of the additional jobs.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::child::OwnedChild;
use crate::late::Late;
use crate::redis::RedisServer;
use crate::resp::{Connection, Reply};
use crate::wait;

/// The stream of the queue `default`.
pub const STREAM: &str = "postrider:{default}:jobs";
/// The length of the body of an added job.
pub const BODY_BYTES: usize = 512;

/// Adds `ARGV[1]` jobs with the body `ARGV[2]` and each of the other arguments in turn as URL to the stream `KEYS[1]`.
const PRELOAD: &str = "for job = 1, ARGV[1] do
    redis.call('XADD', KEYS[1], '*', 'url', ARGV[3 + job % (#ARGV - 2)], 'body', ARGV[2])
end";
/// Jobs per script call, and bytes of their bodies: few enough that a call does not block the server for long.
const PRELOAD_BATCH: usize = 1000;
const PRELOAD_BYTES: usize = 16 << 20;
/// Jobs of the two runs of which the difference is taken. A held job takes five times as long.
const JOBS: [usize; 2] = [300, 1_300];
const HELD_JOBS: [usize; 2] = [100, 350];
/// At most one job in this many may be scheduled, held or retried: a destination seems to stall while
/// valgrind translates the program.
const WAITING_MAX: usize = 100;
/// Under valgrind everything takes fifty times as long.
const PATIENCE: Duration = Duration::from_secs(300);

/// The worker's program and settings.
pub struct Drain<'a> {
    /// The program and the arguments before `worker`.
    pub program: &'a [OsString],
    /// The only variables `OTEL_*` and `POSTRIDER_*` of the worker.
    pub environment: &'a [(&'a str, &'a str)],
    /// Jobs in flight at most.
    pub in_flight: usize,
    /// The proxy and the destination it connects to.
    pub late: &'a Late,
    /// Whether each job is held once before its attempt.
    pub is_held: bool,
}

impl Drain<'_> {
    /// Runs the worker until `jobs` jobs are done. Returns its standard output.
    ///
    /// # Panics
    ///
    /// If it ends early or does not end, or if it schedules, holds or retries more than a few jobs, apart from those that shall be
    /// held.
    pub fn run(&self, redis: &RedisServer, jobs: usize) -> String {
        let mut connection = redis.connect();
        preload(&mut connection, STREAM, &[self.late.url()], jobs);
        command(&mut connection, &["CONFIG", "RESETSTAT"]);
        if self.is_held {
            self.flow(redis, "pause");
        }
        let folder = tempfile::Builder::new().prefix("postrider-drain-").tempdir();
        let folder = folder.expect("the folder for temporary files can be written");
        let [output, log] = ["output", "log"].map(|name| folder.path().join(name));
        let mut child = OwnedChild::spawn(&mut self.command(&output, &log));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
        let mut until = |what, of: fn(&mut Connection) -> usize, enough: usize| {
            wait::eventually_or(what, PATIENCE, || {
                assert!(child.try_wait().is_none(), "the worker ended too early:\n{}", read(&log));
                match of(&mut connection) {
                    now if now == enough => Ok(()),
                    now => Err(format!("{now} jobs")),
                }
            });
        };
        if self.is_held {
            until("all jobs are held", held, jobs);
            self.flow(redis, "resume");
        }
        until("an empty queue", left, 0);
        child.signal(Signal::SIGTERM);
        let status = child.wait(PATIENCE).expect("the worker ends on SIGTERM");
        assert!(status.success(), "the worker ended with {status}:\n{}", read(&log));
        // Every waiting job is in a sorted set.
        let statistics = command(&mut connection, &["INFO", "commandstats"]).text();
        let (waited, most) = (calls(&statistics, "zadd"), jobs / WAITING_MAX);
        assert!(
            self.is_held || waited <= most,
            "{waited} of {jobs} jobs waited or were retried:\n{}",
            read(&log)
        );
        read(&output)
    }

    /// The cost of one more job: `count` finds a run's cost in its standard output.
    ///
    /// # Panics
    ///
    /// As [`Drain::run`].
    pub fn per_job(&self, redis: &RedisServer, count: impl Fn(&str) -> f64) -> f64 {
        let [few, many] = if self.is_held { HELD_JOBS } else { JOBS };
        let [few_cost, many_cost] = [few, many].map(|jobs| count(&self.run(redis, jobs)));
        (many_cost - few_cost) / (many - few) as f64
    }

    /// Pauses or resumes the flow of the destination.
    fn flow(&self, redis: &RedisServer, verb: &str) {
        // Valgrind and its options may stand before the worker's own program.
        let program = self.program.last().expect("a program has a name");
        let mut command = Command::new(program);
        command.args(["flows", verb, self.late.url(), "--redis-url", &redis.url()]).stdout(Stdio::null());
        let status = OwnedChild::spawn(&mut command).wait(PATIENCE).expect("the command ends");
        assert!(status.success(), "flows {verb} ended with {status}");
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
        // A lease that is extended in one run but not in the other would change the cost per job.
        command.args(["--lease", "10m", "--log", "warn"]).envs(self.environment.iter().copied());
        command.envs(self.late.certificate().map(|file| ("SSL_CERT_FILE", file)));
        let file = |path| std::fs::File::create(path).expect("a new folder can be written");
        command.stdin(Stdio::null()).stdout(file(output)).stderr(file(log));
        command
    }
}

/// The number of calls of a command, from `INFO commandstats`.
fn calls(statistics: &str, command: &str) -> usize {
    let line = statistics.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// Empties Redis and adds `jobs` jobs for these URLs in turn to a stream.
///
/// # Panics
///
/// If Redis returns an error.
pub fn preload(connection: &mut Connection, stream: &str, urls: &[&str], jobs: usize) {
    command(connection, &["FLUSHALL"]);
    add(connection, stream, urls, jobs);
}

/// Adds `jobs` jobs for these URLs in turn to a stream.
///
/// # Panics
///
/// If Redis returns an error.
pub fn add(connection: &mut Connection, stream: &str, urls: &[&str], jobs: usize) {
    add_with(connection, stream, urls, jobs, BODY_BYTES);
}

/// The same, with bodies of this length.
///
/// # Panics
///
/// If Redis returns an error.
pub fn add_with(connection: &mut Connection, stream: &str, urls: &[&str], jobs: usize, body_bytes: usize) {
    let body = "x".repeat(body_bytes);
    let most = PRELOAD_BATCH.min(PRELOAD_BYTES / body_bytes.max(1)).max(1);
    let mut left = jobs;
    while left > 0 {
        let batch = left.min(most);
        let batch_text = batch.to_string();
        let call = ["EVAL", PRELOAD, "1", stream, &batch_text, &body];
        // A batch goes to no more URLs than it has jobs.
        let own: Vec<&str> = urls
            .iter()
            .cycle()
            .skip((jobs - left) % urls.len())
            .copied()
            .take(batch.min(urls.len()))
            .collect();
        command(connection, &[&call[..], &own].concat());
        left -= batch;
    }
}

/// The number of jobs of the queue `default` that are not done.
///
/// # Panics
///
/// If Redis returns an error.
pub fn left(connection: &mut Connection) -> usize {
    let ready = command(connection, &["XLEN", STREAM]).integer();
    usize::try_from(ready).expect("nothing has a negative length") + held(connection)
}

/// The jobs of the queue that wait for their flow or for a time.
fn held(connection: &mut Connection) -> usize {
    let held = command(connection, &["HLEN", "postrider:{default}:waiting"]).integer();
    usize::try_from(held).expect("nothing has a negative length")
}

/// The reply to a command.
///
/// # Panics
///
/// If it is an error.
pub fn command(connection: &mut Connection, arguments: &[&str]) -> Reply {
    match connection.command(arguments).expect("the Redis server answers") {
        Reply::Error(error) => panic!("Redis rejects {}: {error}", arguments[0]),
        reply => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_the_statistics() {
        let statistics = "# Commandstats\r\ncmdstat_hset:calls=7,usec=1\r\ncmdstat_zadd:calls=12,usec=3\r\n";
        assert_eq!([calls(statistics, "zadd"), calls(statistics, "xadd")], [12, 0]);
    }
}
