//! Tests of takeovers and orphans: any number of dead workers, lost keys, shards that no worker reads, fields of
//! another version.

use std::time::Duration;

use e2e::process::{Build, Postrider, Signal};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::scripts::Script;
use e2e::sink::Sink;
use e2e::wait::{DEADLINE, eventually, eventually_or};
use e2e::world::World;

const BUILD: Build = Build::Otel;
const JOBS: &str = "postrider:{default}:jobs";
const WORKERS: &str = "postrider:{default}:workers";

/// While Redis stalls, idle time continues; the first call that it executes afterwards may be a takeover.
#[test]
fn a_stall_of_redis_takes_no_job_from_a_worker_that_lives() {
    let (mut redis, sink) = (RedisServer::start(), Sink::start());
    let lease = ["--lease", "3s"];
    let _workers = [0; 3].map(|_| Postrider::ready_worker(BUILD, &redis, &lease, &[]));
    for _ in 0..5 {
        Queue::new(&redis, "default").enqueue(&[("url", sink.url("/slow/11000"))]);
    }
    sink.wait_for(5, DEADLINE);
    for _ in 0..3 {
        redis.signal(Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(2700));
        redis.signal(Signal::SIGCONT);
        std::thread::sleep(Duration::from_millis(500));
    }
    Queue::new(&redis, "default").wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), 5, "each once");
}

/// A job whose one attempt was cut by the death or the end of a worker still has this attempt.
#[test]
fn a_takeover_and_a_handing_back_cost_no_attempt() {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let arguments = ["--lease", "1s", "--shutdown-timeout", "100ms"];
    for (round, signal) in [Signal::SIGKILL, Signal::SIGTERM].into_iter().enumerate() {
        let mut first = world.worker(&arguments);
        queue.enqueue(&[("url", sink.url("/slow/1000")), ("max_attempts", "1".to_owned())]);
        sink.wait_for(2 * round + 1, DEADLINE);
        first.signal(signal);
        let mut second = world.worker(&["--lease", "1s"]);
        queue.wait_until_drained(DEADLINE);
        assert_eq!((sink.requests().len(), queue.dead().len()), (2 * round + 2, 0), "{signal}");
        assert!(second.stop().success());
    }
}

/// The reply of the read was lost, and the worker left: the job was enqueued, but it has not waited.
#[test]
fn a_delayed_job_that_is_handed_back_still_waits() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    redis.command(&["XGROUP", "CREATE", JOBS, "postrider", "0", "MKSTREAM"]);
    queue.enqueue(&[("url", sink.url("/ok?handed-back").as_str()), ("delay_ms", "3600000")]);
    redis.command(&["XREADGROUP", "GROUP", "postrider", "gone", "STREAMS", JOBS, ">"]);
    let leave = Script::Leave.source();
    let mark = queue.key("mark");
    redis.command(&["SET", &mark, "secret"]);
    redis.command(&["EVAL", &leave, "2", JOBS, WORKERS, "postrider", "gone", "secret"]);
    let mut worker = Postrider::ready_worker(BUILD, &redis, &[], &[]);
    eventually_or("it is scheduled", DEADLINE, || match queue.scheduled() {
        1 => Ok(()),
        other => Err(format!("{other} are, and {} were sent", sink.requests().len())),
    });
    // Its time comes: it is sent once, and does not wait again.
    let job_id = redis.command(&["ZRANGE", &queue.key("scheduled"), "0", "0"]).array()[0].text();
    redis.command(&["ZADD", &queue.key("scheduled"), "1", &job_id]);
    sink.wait_for_path("/ok?handed-back", 1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert!(worker.stop().success());
}

/// As after a night of crashes under a supervisor.
#[test]
fn thousands_of_dead_workers_are_removed_and_their_jobs_are_delivered() {
    const GHOSTS: usize = 3000;
    const HOLD_A_JOB: usize = 300;
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let script = "redis.call('XGROUP', 'CREATE', KEYS[1], 'postrider', '0', 'MKSTREAM') \
                  for i = 1, tonumber(ARGV[1]) do \
                    redis.call('HSET', KEYS[2], 'ghost' .. i, '{\"lease_ms\":500,\"seen\":1}') \
                    redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], 'postrider', 'ghost' .. i) \
                    if i <= tonumber(ARGV[2]) then \
                      redis.call('XADD', KEYS[1], '*', 'url', ARGV[3], 'body', i) \
                      redis.call('XREADGROUP', 'GROUP', 'postrider', 'ghost' .. i, 'STREAMS', KEYS[1], '>') \
                    end \
                  end";
    let (ghosts, hold) = (GHOSTS.to_string(), HOLD_A_JOB.to_string());
    redis.command(&["EVAL", script, "2", JOBS, WORKERS, &ghosts, &hold, &sink.url("/ok")]);
    let queue = world.queue();
    assert_eq!(queue.pending(), HOLD_A_JOB as i64);
    let mut worker = world.worker(&["--lease", "1s", "--threads", "1"]);
    sink.wait_for(HOLD_A_JOB, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), HOLD_A_JOB, "each once");
    eventually_or("one worker", DEADLINE, || {
        let consumers = redis.command(&["XINFO", "CONSUMERS", JOBS, "postrider"]).array().len();
        let records = redis.command(&["HLEN", WORKERS]).integer();
        if (consumers, records) == (1, 1) { Ok(()) } else { Err(format!("{consumers} and {records}")) }
    });
    assert!(worker.stop().success());
    assert_eq!(redis.command(&["EXISTS", WORKERS]).integer(), 0);
}

/// The resident memory of a process, in kB.
fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the worker runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|size| size.split_whitespace().next()?.parse().ok()).expect("the kernel reports it")
}

/// 100,000 jobs that are ready, and the same number in flight with a dead worker.
#[test]
fn a_backlog_is_delivered_from_the_start_and_not_fetched_whole() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let add = "for i = 1, 5000 do redis.call('XADD', KEYS[1], '*', 'url', ARGV[1]) end \
               if ARGV[2] == 'held' then redis.call('XREADGROUP', 'GROUP', 'postrider', 'ghost', 'COUNT', 5000, \
               'STREAMS', KEYS[1], '>') end";
    let fill = |jobs: &str, path: &str, how: &str| {
        redis.command(&["XGROUP", "CREATE", jobs, "postrider", "0", "MKSTREAM"]);
        (0..20).for_each(|_| drop(redis.command(&["EVAL", add, "1", jobs, &sink.url(path), how])));
    };
    fill(JOBS, "/ok?ready", "ready");
    fill("postrider:{other}:jobs", "/ok?held", "held");
    let queues = [world.queue(), Queue::new(redis, "other")];
    assert_eq!((queues[0].depth(), queues[1].pending()), (100_000, 100_000));
    let arguments = ["--lease", "1s", "--queue", "default,other,quiet"];
    let mut worker =
        world.worker_with(&arguments, &[("POSTRIDER_LOG", "error,postrider_worker::engine=info")]);
    sink.wait_for_path("/ok?ready", 1000, DEADLINE);
    sink.wait_for_path("/ok?held", 1000, DEADLINE);
    // It does not wait behind them.
    Queue::new(redis, "quiet").enqueue(&[("url", sink.url("/ok?quiet"))]);
    sink.wait_for_path("/ok?quiet", 1, DEADLINE);
    assert!(queues[0].depth() + queues[1].depth() > 10_000, "else there was no backlog before it");
    // A succeeded job waits for its settlement without a slot, and a call settles 256 at most.
    let pending = queues[0].pending();
    assert!(pending <= 64 + 256, "no more are taken than there are slots: {pending}");
    let resident = resident(worker.pid());
    assert!(resident < 150_000, "{resident} kB");
    assert!(worker.stop().success());
}

/// A producer uses an old number of shards, or the number was lost.
#[test]
fn jobs_in_a_shard_that_no_worker_reads_are_found() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    for shard in ["default/3", "default/5"] {
        Queue::new(redis, shard).enqueue(&[("url", sink.url("/ok"))]);
    }
    Queue::new(redis, "default/63").schedule("7-0", &[("url", &sink.url("/ok?later"))]);
    redis.command(&["ZADD", "postrider:{default/63}:scheduled", "1", "7-0"]);
    let mut worker = world.worker(&[]);
    sink.wait_for(3, DEADLINE);
    for shard in ["default/3", "default/5", "default/63"] {
        Queue::new(redis, shard).wait_until_drained(DEADLINE);
    }
    let line = worker.wait_for_log("higher shards hold jobs", DEADLINE);
    assert!(line.contains("\"read\":64"), "{line}");
    eventually("shards that are given up", DEADLINE, || {
        (redis.command(&["HGET", "postrider:{default}:meta", "shards_before"]).text() == "1").then_some(())
    });
    assert!(worker.stop().success());
}

/// A consumer was deleted with its entries, and the group was created behind an entry.
#[test]
fn jobs_that_are_pending_for_no_worker_are_found() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    queue.enqueue(&[("url", sink.url("/ok?before-the-group"))]);
    redis.command(&["XGROUP", "CREATE", JOBS, "postrider", "$"]);
    queue.enqueue(&[("url", sink.url("/ok?killed"))]);
    redis.command(&["XREADGROUP", "GROUP", "postrider", "killed", "STREAMS", JOBS, ">"]);
    redis.command(&["XGROUP", "DELCONSUMER", JOBS, "postrider", "killed"]);
    let doctor = Postrider::run(BUILD, &["doctor", "--redis-url", &redis.url()], &[], DEADLINE).stdout;
    assert!(doctor.contains("at least 2 jobs were delivered and are pending for no worker"), "{doctor}");
    let mut worker = Postrider::ready_worker(BUILD, &redis, &["--lease", "1s"], &[]);
    sink.wait_for(2, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    worker.wait_for_log("are pending for no worker", DEADLINE);
    assert!(worker.stop().success());
}

/// Each key is evicted or deleted while a worker runs: only its contents are lost.
#[test]
fn a_key_that_is_evicted_loses_only_its_contents() {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let mut worker = world.worker(&["--lease", "1s", "--retry-base", "50ms"]);
    for (round, gone) in
        ["waiting", "scheduled", "flows", "workers", "meta", "dead", "jobs"].into_iter().enumerate()
    {
        queue.enqueue(&[("url", sink.url(&format!("/slow/1500?{gone}")))]);
        sink.wait_for_path(&format!("/slow/1500?{gone}"), 1, DEADLINE);
        queue.enqueue(&[("url", sink.url(&format!("/ok?{gone}-later"))), ("delay_ms", "700".to_owned())]);
        eventually_or("it waits", DEADLINE, || match queue.scheduled() {
            1 => Ok(()),
            other => Err(other),
        });
        world.redis.command(&["DEL", &queue.key(gone)]);
        queue.enqueue(&[("url", sink.url(&format!("/ok?{gone}")))]);
        sink.wait_for_path(&format!("/ok?{gone}"), 1, DEADLINE);
        if gone != "waiting" {
            sink.wait_for_path(&format!("/ok?{gone}-later"), 1, DEADLINE);
        }
        queue.wait_until_drained(DEADLINE);
        assert_eq!(queue.dead().len(), 0, "{round}: {gone}");
        assert_eq!(
            sink.requests_to(&format!("/slow/1500?{gone}")).len(),
            1,
            "{gone}: it ran and was not sent again"
        );
    }
    assert!(worker.stop().success());
}

/// A newer worker has written fields that this one does not know, in each place that workers write to.
#[test]
fn data_of_another_version_is_understood() {
    let world = World::new(BUILD);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    let (ok, future) = (sink.url("/ok"), ("_future", "{\"a\":1}"));
    redis.command(&["XGROUP", "CREATE", JOBS, "postrider", "0", "MKSTREAM"]);
    let record = r#"{"lease_ms":500,"seen":1,"version":"99.0.0","zone":{"name":"north"}}"#;
    redis.command(&["HSET", WORKERS, "newer", record, "another", "not JSON"]);
    queue.enqueue(&[("url", ok.as_str()), ("body", "held"), future]);
    redis.command(&["XREADGROUP", "GROUP", "postrider", "newer", "STREAMS", JOBS, ">"]);
    queue.enqueue(&[("url", ok.as_str()), ("body", "ready"), ("new_field", "x"), future]);
    queue.schedule("1-0", &[("url", &ok), ("body", "waits"), future]);
    redis.command(&["ZADD", &queue.key("scheduled"), "0", "1-0"]);
    let dead = queue.key("dead");
    let letter =
        ["XADD", &dead, "*", "url", &ok, "body", "dead", future.0, future.1, "_reason", "a reason to come"];
    redis.command(&letter);
    redis.command(&["HSET", &queue.key("meta"), "shards", "1", "future", "x"]);
    let mut worker = world.worker(&["--lease", "1s"]);
    sink.wait_for(3, DEADLINE);
    let replay = ["dead", "replay", "--all", "--yes", "--redis-url", &redis.url()];
    assert_eq!(Postrider::run(BUILD, &replay, &[], DEADLINE).code(), 0);
    queue.wait_until_drained(DEADLINE);
    let mut bodies: Vec<_> = sink.wait_for(4, DEADLINE).iter().map(|request| request.body.clone()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["dead", "held", "ready", "waits"]);
    assert!(worker.stop().success());
    let list = Postrider::run(BUILD, &["queues", "--redis-url", &redis.url(), "--json"], &[], DEADLINE);
    assert_eq!(list.code(), 0, "{list:?}");
}
