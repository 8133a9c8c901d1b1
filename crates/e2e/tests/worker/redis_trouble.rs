//! Tests of trouble with Redis, in both builds: the worker continues without a restart once Redis has recovered,
//! logs a few lines and no more, and does not spin.

mod troubled_worker;

use std::time::{Duration, Instant};

use e2e::process::{Build, Signal};
use e2e::proxy::{Mode, Proxy};
use e2e::redis::RedisServer;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;

use self::troubled_worker::TroubledWorker;

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
    it_is_a_replica_for_good_and_its_name_leads_to_the_primary,
    it_has_lost_its_primary,
    it_cannot_write_its_file,
    it_comes_back_with_jobs_that_were_done,
    it_comes_back_with_a_job_that_was_in_flight,
);

fn the_group_is_destroyed(build: Build) {
    let troubled = TroubledWorker::plain(build);
    for _ in 0..2 {
        troubled.command(&["XGROUP", "DESTROY", "postrider:{default}:jobs", "postrider"]);
    }
    troubled.ends_well();
}

fn everything_is_flushed(build: Build) {
    let troubled = TroubledWorker::plain(build);
    troubled.command(&["FLUSHALL"]);
    troubled.command(&["SCRIPT", "FLUSH"]);
    troubled.ends_well();
}

fn the_stream_is_deleted(build: Build) {
    let troubled = TroubledWorker::plain(build);
    troubled.command(&["DEL", "postrider:{default}:jobs"]);
    troubled.ends_well();
}

fn it_restarts_without_its_data(build: Build) {
    let mut troubled = TroubledWorker::plain(build);
    troubled.world.redis.restart();
    troubled.ends_well();
}

fn it_is_away(build: Build) {
    let mut troubled = TroubledWorker::plain(build);
    troubled.world.redis.kill();
    troubled.wait_for_trouble();
    troubled.is_idle();
    troubled.world.redis.restart();
    troubled.ends_well();
}

/// The deadline of requests in flight begins with the signal, even while the worker waits for Redis.
fn it_is_away_as_the_worker_is_stopped(build: Build) {
    let mut troubled = TroubledWorker::plain(build);
    troubled.world.redis.kill();
    troubled.wait_for_trouble();
    troubled.is_idle();
    troubled.worker.signal(Signal::SIGTERM);
    troubled.worker.wait_for_log("stopping", Duration::from_secs(2));
    let status = troubled.worker.wait_exit(DEADLINE);
    assert_eq!(status.code(), Some(0), "{}", troubled.worker.log().join("\n"));
}

fn it_loads_its_data(build: Build) {
    const KEYS: usize = 400;
    // It serves its clients after each 2 MB of the file.
    const BYTES: usize = 40_000;
    let slow = ["--key-load-delay", "5000", "--rdbcompression", "no"];
    let mut troubled = TroubledWorker::new(build, RedisServer::start_with(&slow), &[]);
    let mut connection = troubled.world.redis.connect();
    for number in 0..KEYS {
        let set = connection.command(&["SET", &format!("key-{number}"), &"x".repeat(BYTES)]);
        assert!(set.is_ok());
    }
    troubled.command(&["SAVE"]);
    let start = Instant::now();
    // It responds with LOADING for two seconds, and then the restart is over.
    troubled.world.redis.restart();
    assert!(start.elapsed() > Duration::from_secs(1), "it has loaded too fast to be seen");
    troubled.ends_well();
}

fn it_stalls(build: Build) {
    let mut troubled = TroubledWorker::plain(build);
    let queue = troubled.world.queue();
    queue.enqueue(&[("url", troubled.world.sink.url("/slow/3000"))]);
    troubled.delivered += 1;
    troubled.world.sink.wait_for(troubled.delivered, DEADLINE);
    troubled.world.redis.signal(Signal::SIGSTOP);
    troubled.wait_for_trouble();
    troubled.is_idle();
    troubled.world.redis.signal(Signal::SIGCONT);
    troubled.ends_well();
}

fn it_holds_all_clients_back(build: Build) {
    let troubled = TroubledWorker::plain(build);
    troubled.command(&["CLIENT", "PAUSE", "2500", "ALL"]);
    troubled.is_idle();
    troubled.ends_well();
}

fn it_asks_for_a_password(build: Build) {
    let mut troubled = TroubledWorker::plain(build);
    let mut admin = troubled.world.redis.connect();
    // Existing connections stay open; new ones are refused.
    for command in [&["CONFIG", "SET", "requirepass", "secret"][..], &["CLIENT", "KILL", "TYPE", "normal"]] {
        assert!(admin.command(command).is_ok());
    }
    troubled.wait_for_trouble();
    troubled.is_idle();
    assert!(admin.command(&["CONFIG", "SET", "requirepass", ""]).is_ok());
    troubled.ends_well();
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
    let world = World::on(build, redis);
    let worker = world.worker_with(&[], &[("POSTRIDER_REDIS_URL", &url)]);
    let mut troubled = TroubledWorker { worker, world, delivered: 0 };
    set("wrong");
    troubled.wait_for_trouble();
    troubled.is_idle();
    set("right");
    troubled.worker.wait_for_log("answers again", DEADLINE);
    // The harness knows no password; existing connections stay open.
    assert!(admin.command(&["CONFIG", "SET", "requirepass", ""]).is_ok());
    troubled.ends_well();
}

fn the_connection_is_half_open(build: Build) {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port);
    let mut troubled = TroubledWorker::new(build, redis, &[("POSTRIDER_REDIS_URL", &proxy.redis_url())]);
    proxy.set(Mode::HalfOpen);
    troubled.wait_for_trouble();
    troubled.is_idle();
    proxy.set(Mode::Pass);
    troubled.ends_well();
}

/// The state of a client that is still connected to the old primary after a failover: READONLY.
fn it_is_a_replica_for_a_while(build: Build) {
    let mut troubled = TroubledWorker::plain(build);
    let nobody = e2e::redis::free_port().to_string();
    troubled.command(&["REPLICAOF", "127.0.0.1", &nobody]);
    troubled.wait_for_trouble();
    troubled.is_idle();
    troubled.command(&["REPLICAOF", "NO", "ONE"]);
    troubled.ends_well();
}

/// The failover of a service whose name leads to the primary. The old one lives on, and keeps its connections.
fn it_is_a_replica_for_good_and_its_name_leads_to_the_primary(build: Build) {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::start(old.port);
    let mut troubled = TroubledWorker::new(build, old, &[("POSTRIDER_REDIS_URL", &proxy.redis_url())]);
    troubled.command(&["REPLICAOF", "127.0.0.1", &new.port.to_string()]);
    proxy.redirect(new.port);
    let _old = std::mem::replace(&mut troubled.world.redis, new);
    troubled.ends_well();
}

/// MASTERDOWN.
fn it_has_lost_its_primary(build: Build) {
    let mut troubled = TroubledWorker::plain(build);
    let nobody = e2e::redis::free_port().to_string();
    troubled.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    troubled.command(&["REPLICAOF", "127.0.0.1", &nobody]);
    troubled.wait_for_trouble();
    troubled.is_idle();
    troubled.command(&["REPLICAOF", "NO", "ONE"]);
    troubled.ends_well();
}

/// MISCONF: it takes no writes while it cannot save.
fn it_cannot_write_its_file(build: Build) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("the path is text");
    let mut troubled = TroubledWorker::new(build, RedisServer::start_with(&["--dir", path]), &[]);
    // Without a rule for saving, Redis still accepts writes.
    troubled.command(&["CONFIG", "SET", "save", "3600 1"]);
    // A folder that is not empty cannot be replaced by a file.
    let obstacle = folder.path().join("dump.rdb");
    std::fs::create_dir_all(obstacle.join("full")).expect("the folder can be written");
    let saved = |troubled: &TroubledWorker, status: &str| {
        troubled.command(&["BGSAVE"]);
        eventually_or("the end of a save", DEADLINE, || {
            let info = troubled.world.redis.command(&["INFO", "persistence"]).text();
            let is_over = info.contains("rdb_bgsave_in_progress:0");
            let line = format!("rdb_last_bgsave_status:{status}");
            if is_over && info.contains(&line) { Ok(()) } else { Err(info) }
        });
    };
    saved(&troubled, "err");
    troubled.wait_for_trouble();
    troubled.is_idle();
    std::fs::remove_dir_all(&obstacle).expect("the obstacle is there");
    saved(&troubled, "ok");
    troubled.ends_well();
}

/// Redis restarts from a file that is older than the last settlements, or a replica without them replaces its
/// primary: settled jobs are in the queue again, and are delivered again.
fn it_comes_back_with_jobs_that_were_done(build: Build) {
    const JOBS: usize = 10;
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    for number in 0..JOBS {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{number}")))]);
    }
    assert_eq!(redis.command(&["SAVE"]).text(), "OK");
    queue.enqueue(&[("url", sink.url("/ok?lost"))]);
    let worker = world.worker(&[]);
    sink.wait_for(JOBS + 1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    let mut troubled = TroubledWorker { worker, world, delivered: 2 * JOBS + 1 };
    troubled.world.redis.restart();
    troubled.world.sink.wait_for(2 * JOBS + 1, DEADLINE);
    for number in 0..JOBS {
        assert_eq!(troubled.world.sink.requests_to(&format!("/ok?{number}")).len(), 2, "{number}");
    }
    troubled.ends_well();
}

/// Redis still has this job in flight with this worker, which has settled it since.
fn it_comes_back_with_a_job_that_was_in_flight(build: Build) {
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    let worker = world.worker(&["--lease", "1s"]);
    queue.enqueue(&[("url", sink.url("/slow/3000"))]);
    sink.wait_for(1, DEADLINE);
    assert_eq!(redis.command(&["SAVE"]).text(), "OK");
    assert_eq!(queue.pending(), 1);
    queue.wait_until_drained(DEADLINE);
    let mut troubled = TroubledWorker { worker, world, delivered: 2 };
    troubled.world.redis.restart();
    troubled.world.sink.wait_for(2, DEADLINE);
    troubled.ends_well();
}

#[test]
fn it_has_too_many_clients() {
    let world = World::new(Build::Lean);
    let mut worker = world.worker(&[]);
    let mut operator = world.redis.connect();
    let mut command = |arguments: &[&str]| operator.command(arguments).expect("Redis answers");
    command(&["CONFIG", "SET", "maxclients", "1"]);
    command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    worker.wait_for_log("max number of clients", DEADLINE);
    command(&["CONFIG", "SET", "maxclients", "1000"]);
    world.queue().enqueue(&[("url", world.sink.url("/ok"))]);
    world.sink.wait_for(1, DEADLINE);
    assert!(worker.stop().success());
    let refusals = worker.log().iter().filter(|line| line.contains("max number of clients")).count();
    assert!(refusals <= 2, "{refusals} lines: {}", worker.log().join("\n"));
}
