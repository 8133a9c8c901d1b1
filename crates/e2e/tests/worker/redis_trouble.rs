//! Tests of trouble with Redis, in both builds: the worker continues without a restart once Redis has recovered,
//! logs a few lines and no more, and does not spin.

use std::time::{Duration, Instant};

use e2e::process::{Build, Postrider, Signal};
use e2e::proxy::{Mode, Proxy};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::{DEADLINE, eventually_or};

e2e::in_both_builds!(
    the_group_is_destroyed,
    everything_is_flushed,
    the_stream_is_deleted,
    it_restarts_without_its_data,
    it_is_away,
    it_is_away_as_the_worker_is_stopped,
    it_loads_its_data,
    it_stalls,
    it_holds_all_clients_back,
    it_asks_for_a_password,
    its_password_changes_and_changes_back,
    the_connection_is_half_open,
    it_is_a_replica_for_a_while,
    it_has_lost_its_primary,
    it_cannot_write_its_file,
    it_comes_back_with_jobs_that_were_done,
    it_comes_back_with_a_job_that_was_in_hand,
);

/// A reconnect starts at most every five seconds, and a silence is noticed after twelve.
/// Lines that a trouble may leave in the log, whatever it is: it came, it went, the group was created again.
const MOST_LINES: usize = 8;

/// A worker and its surroundings.
struct Stage {
    redis: RedisServer,
    sink: Sink,
    worker: Postrider,
    delivered: usize,
}

impl Stage {
    fn new(build: Build, redis: RedisServer, environment: &[(&str, &str)]) -> Stage {
        let worker = Postrider::ready_worker(build, &redis, &[], environment);
        let mut stage = Stage { redis, sink: Sink::start(), worker, delivered: 0 };
        stage.deliver();
        stage
    }

    fn plain(build: Build) -> Stage {
        Stage::new(build, RedisServer::start(), &[])
    }

    /// A job goes through.
    fn deliver(&mut self) {
        let queue = Queue::new(&self.redis, "default");
        queue.enqueue(&[("url", self.sink.url("/ok"))]);
        self.delivered += 1;
        let (sink, worker, count) = (&self.sink, &self.worker, self.delivered);
        eventually_or("the job is delivered", DEADLINE, || match sink.requests().len() {
            requests if requests >= count => Ok(()),
            _ => Err(worker.log().join("\n")),
        });
        queue.wait_until_drained(DEADLINE);
    }

    /// After the trouble: jobs go through, each once, and the log is short.
    fn ends_well(mut self) {
        for _ in 0..3 {
            self.deliver();
        }
        assert_eq!(self.sink.requests().len(), self.delivered);
        let log = self.worker.log();
        let lines = log.iter().filter(|line| line.contains("WARN") || line.contains("ERROR"));
        let lines = lines.count() + log.iter().filter(|line| line.contains("answers again")).count();
        assert!(lines <= MOST_LINES, "{lines} lines:\n{}", log.join("\n"));
        let status = self.worker.stop();
        assert_eq!(status.code(), Some(0), "{}", self.worker.log().join("\n"));
    }

    /// While Redis is in trouble the worker takes less than a fifth of a processor.
    fn is_idle(&self) {
        const WATCHED: Duration = Duration::from_secs(2);
        let (before, start) = (cpu(self.worker.pid()), Instant::now());
        std::thread::sleep(WATCHED);
        let used = cpu(self.worker.pid()).saturating_sub(before);
        assert!(used < start.elapsed() / 5, "{used:?} of a processor within {WATCHED:?}");
    }

    fn wait_for_trouble(&mut self) {
        self.worker.wait_for_log("Redis does not answer as it should", DEADLINE);
    }

    fn command(&self, arguments: &[&str]) {
        let reply = self.redis.command(arguments);
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

fn the_group_is_destroyed(build: Build) {
    let stage = Stage::plain(build);
    for _ in 0..2 {
        stage.command(&["XGROUP", "DESTROY", "postrider:{default}:jobs", "postrider"]);
    }
    stage.ends_well();
}

fn everything_is_flushed(build: Build) {
    let stage = Stage::plain(build);
    stage.command(&["FLUSHALL"]);
    stage.command(&["SCRIPT", "FLUSH"]);
    stage.ends_well();
}

fn the_stream_is_deleted(build: Build) {
    let stage = Stage::plain(build);
    stage.command(&["DEL", "postrider:{default}:jobs"]);
    stage.ends_well();
}

fn it_restarts_without_its_data(build: Build) {
    let mut stage = Stage::plain(build);
    stage.redis.restart();
    stage.ends_well();
}

fn it_is_away(build: Build) {
    let mut stage = Stage::plain(build);
    stage.redis.kill();
    stage.wait_for_trouble();
    stage.is_idle();
    stage.redis.restart();
    stage.ends_well();
}

/// The deadline of requests in flight begins with the signal, even while the worker waits for Redis.
fn it_is_away_as_the_worker_is_stopped(build: Build) {
    let mut stage = Stage::plain(build);
    stage.redis.kill();
    stage.wait_for_trouble();
    stage.is_idle();
    stage.worker.signal(Signal::SIGTERM);
    stage.worker.wait_for_log("stopping", Duration::from_secs(2));
    let status = stage.worker.wait_exit(DEADLINE);
    assert_eq!(status.code(), Some(0), "{}", stage.worker.log().join("\n"));
}

fn it_loads_its_data(build: Build) {
    const KEYS: usize = 400;
    // It serves its clients after each 2 MB of the file.
    const BYTES: usize = 40_000;
    let slow = ["--key-load-delay", "5000", "--rdbcompression", "no"];
    let mut stage = Stage::new(build, RedisServer::start_with(&slow), &[]);
    let mut connection = stage.redis.connect();
    for number in 0..KEYS {
        let set = connection.command(&["SET", &format!("key-{number}"), &"x".repeat(BYTES)]);
        assert!(set.is_ok());
    }
    stage.command(&["SAVE"]);
    let start = Instant::now();
    // It responds with LOADING for two seconds, and then the restart is over.
    stage.redis.restart();
    assert!(start.elapsed() > Duration::from_secs(1), "it has loaded too fast to be seen");
    stage.ends_well();
}

fn it_stalls(build: Build) {
    let mut stage = Stage::plain(build);
    let queue = Queue::new(&stage.redis, "default");
    queue.enqueue(&[("url", stage.sink.url("/slow/3000"))]);
    stage.delivered += 1;
    stage.sink.wait_for(stage.delivered, DEADLINE);
    stage.redis.signal(Signal::SIGSTOP);
    stage.wait_for_trouble();
    stage.is_idle();
    stage.redis.signal(Signal::SIGCONT);
    stage.ends_well();
}

fn it_holds_all_clients_back(build: Build) {
    let stage = Stage::plain(build);
    stage.command(&["CLIENT", "PAUSE", "2500", "ALL"]);
    stage.is_idle();
    stage.ends_well();
}

fn it_asks_for_a_password(build: Build) {
    let mut stage = Stage::plain(build);
    let mut admin = stage.redis.connect();
    // Existing connections stay open; new ones are refused.
    for command in [&["CONFIG", "SET", "requirepass", "secret"][..], &["CLIENT", "KILL", "TYPE", "normal"]] {
        assert!(admin.command(command).is_ok());
    }
    stage.wait_for_trouble();
    stage.is_idle();
    assert!(admin.command(&["CONFIG", "SET", "requirepass", ""]).is_ok());
    stage.ends_well();
}

fn its_password_changes_and_changes_back(build: Build) {
    let redis = RedisServer::start();
    let url = format!("redis://:right@127.0.0.1:{}", redis.port);
    let mut admin = redis.connect();
    let mut set = |password: &str| {
        for command in
            [&["CONFIG", "SET", "requirepass", password][..], &["CLIENT", "KILL", "TYPE", "normal"]]
        {
            assert!(admin.command(command).is_ok());
        }
    };
    set("right");
    let worker = Postrider::ready_worker(build, &redis, &[], &[("POSTRIDER_REDIS_URL", &url)]);
    let mut stage = Stage { redis, sink: Sink::start(), worker, delivered: 0 };
    set("wrong");
    stage.wait_for_trouble();
    stage.is_idle();
    set("right");
    stage.worker.wait_for_log("answers again", DEADLINE);
    // The harness knows no password; existing connections stay open.
    assert!(admin.command(&["CONFIG", "SET", "requirepass", ""]).is_ok());
    stage.ends_well();
}

fn the_connection_is_half_open(build: Build) {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port);
    let mut stage = Stage::new(build, redis, &[("POSTRIDER_REDIS_URL", &proxy.redis_url())]);
    proxy.set(Mode::HalfOpen);
    stage.wait_for_trouble();
    stage.is_idle();
    proxy.set(Mode::Pass);
    stage.ends_well();
}

/// The state of a client that is still connected to the old primary after a failover: READONLY.
fn it_is_a_replica_for_a_while(build: Build) {
    let mut stage = Stage::plain(build);
    let nobody = e2e::redis::free_port().to_string();
    stage.command(&["REPLICAOF", "127.0.0.1", &nobody]);
    stage.wait_for_trouble();
    stage.is_idle();
    stage.command(&["REPLICAOF", "NO", "ONE"]);
    stage.ends_well();
}

/// MASTERDOWN.
fn it_has_lost_its_primary(build: Build) {
    let mut stage = Stage::plain(build);
    let nobody = e2e::redis::free_port().to_string();
    stage.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    stage.command(&["REPLICAOF", "127.0.0.1", &nobody]);
    stage.wait_for_trouble();
    stage.is_idle();
    stage.command(&["REPLICAOF", "NO", "ONE"]);
    stage.ends_well();
}

/// MISCONF: it takes no writes while it cannot save.
fn it_cannot_write_its_file(build: Build) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("the path is text");
    let mut stage = Stage::new(build, RedisServer::start_with(&["--dir", path]), &[]);
    // Without a rule for saving, Redis still accepts writes.
    stage.command(&["CONFIG", "SET", "save", "3600 1"]);
    // A folder that is not empty cannot be replaced by a file.
    let obstacle = folder.path().join("dump.rdb");
    std::fs::create_dir_all(obstacle.join("full")).expect("the folder can be written");
    let saved = |stage: &Stage, status: &str| {
        stage.command(&["BGSAVE"]);
        eventually_or("the end of a save", DEADLINE, || {
            let info = stage.redis.command(&["INFO", "persistence"]).text();
            let is_over = info.contains("rdb_bgsave_in_progress:0");
            let line = format!("rdb_last_bgsave_status:{status}");
            if is_over && info.contains(&line) { Ok(()) } else { Err(info) }
        });
    };
    saved(&stage, "err");
    stage.wait_for_trouble();
    stage.is_idle();
    std::fs::remove_dir_all(&obstacle).expect("the obstacle is there");
    saved(&stage, "ok");
    stage.ends_well();
}

/// Redis restarts from a file that is older than the last settlements, or a replica without them replaces its
/// primary: settled jobs are in the queue again, and are delivered again.
fn it_comes_back_with_jobs_that_were_done(build: Build) {
    const JOBS: usize = 10;
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let sink = Sink::start();
    for number in 0..JOBS {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{number}")))]);
    }
    assert_eq!(redis.command(&["SAVE"]).text(), "OK");
    queue.enqueue(&[("url", sink.url("/ok?lost"))]);
    let worker = Postrider::ready_worker(build, &redis, &[], &[]);
    sink.wait_for(JOBS + 1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    let mut stage = Stage { redis, sink, worker, delivered: 2 * JOBS + 1 };
    stage.redis.restart();
    stage.sink.wait_for(2 * JOBS + 1, DEADLINE);
    for number in 0..JOBS {
        assert_eq!(stage.sink.requests_to(&format!("/ok?{number}")).len(), 2, "{number}");
    }
    stage.ends_well();
}

/// Redis still has this job in flight with this worker, which has settled it since.
fn it_comes_back_with_a_job_that_was_in_hand(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let sink = Sink::start();
    let worker = Postrider::ready_worker(build, &redis, &["--lease", "1s"], &[]);
    queue.enqueue(&[("url", sink.url("/slow/3000"))]);
    sink.wait_for(1, DEADLINE);
    assert_eq!(redis.command(&["SAVE"]).text(), "OK");
    assert_eq!(queue.pending(), 1);
    queue.wait_until_drained(DEADLINE);
    let mut stage = Stage { redis, sink, worker, delivered: 2 };
    stage.redis.restart();
    stage.sink.wait_for(2, DEADLINE);
    stage.ends_well();
}
