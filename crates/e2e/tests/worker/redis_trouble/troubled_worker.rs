//! A worker whose Redis is in trouble, and what must hold during and after it.

use std::time::{Duration, Instant};

use e2e::process::{Build, Postrider};
use e2e::redis::RedisServer;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;

/// A reconnect starts at most every five seconds, and a silence is noticed after twelve.
/// Lines that a trouble may leave in the log, whatever it is: it came, it went, the group was created again.
const LOG_LINES_MAX: usize = 8;

/// A worker whose Redis is in trouble.
pub(super) struct TroubledWorker {
    pub(super) worker: Postrider,
    pub(super) world: World,
    pub(super) delivered: usize,
}

impl TroubledWorker {
    pub(super) fn new(build: Build, redis: RedisServer, environment: &[(&str, &str)]) -> TroubledWorker {
        let world = World::on(build, redis);
        let mut troubled =
            TroubledWorker { worker: world.worker_with(&[], environment), world, delivered: 0 };
        troubled.deliver();
        troubled
    }

    pub(super) fn plain(build: Build) -> TroubledWorker {
        TroubledWorker::new(build, RedisServer::start(), &[])
    }

    /// A job goes through.
    pub(super) fn deliver(&mut self) {
        let queue = self.world.queue();
        queue.enqueue(&[("url", self.world.sink.url("/ok"))]);
        self.delivered += 1;
        let (sink, worker, count) = (&self.world.sink, &self.worker, self.delivered);
        eventually_or("the job is delivered", DEADLINE, || match sink.requests().len() {
            requests if requests >= count => Ok(()),
            _ => Err(worker.log().join("\n")),
        });
        queue.wait_until_drained(DEADLINE);
    }

    /// After the trouble: jobs go through, each once, and the log is short.
    pub(super) fn ends_well(mut self) {
        for _ in 0..3 {
            self.deliver();
        }
        assert_eq!(self.world.sink.requests().len(), self.delivered);
        let log = self.worker.log();
        let lines = log.iter().filter(|line| line.contains("WARN") || line.contains("ERROR"));
        let lines = lines.count() + log.iter().filter(|line| line.contains("answers again")).count();
        assert!(lines <= LOG_LINES_MAX, "{lines} lines:\n{}", log.join("\n"));
        let status = self.worker.stop();
        assert_eq!(status.code(), Some(0), "{}", self.worker.log().join("\n"));
    }

    /// While Redis is in trouble the worker takes less than a fifth of a processor.
    pub(super) fn is_idle(&self) {
        const WATCHED: Duration = Duration::from_secs(2);
        let (before, start) = (cpu(self.worker.pid()), Instant::now());
        std::thread::sleep(WATCHED);
        let used = cpu(self.worker.pid()).saturating_sub(before);
        assert!(used < start.elapsed() / 5, "{used:?} of a processor within {WATCHED:?}");
    }

    pub(super) fn wait_for_trouble(&mut self) {
        self.worker.wait_for_log("Redis does not answer as it should", DEADLINE);
    }

    pub(super) fn command(&self, arguments: &[&str]) {
        let reply = self.world.redis.command(arguments);
        assert!(!matches!(reply, e2e::resp::Reply::Error(_)), "{arguments:?}: {reply:?}");
    }
}

/// The processor time that a process has used; the kernel counts a hundred ticks a second.
fn cpu(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the worker runs");
    let (_, rest) = text.rsplit_once(") ").expect("the name of the process is in parentheses");
    let ticks = |index: usize| rest.split(' ').nth(index).and_then(|ticks| ticks.parse::<u64>().ok());
    let ticks = ticks(11).zip(ticks(12)).expect("two numbers of ticks");
    Duration::from_millis((ticks.0 + ticks.1) * 10)
}
