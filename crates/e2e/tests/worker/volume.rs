//! Tests of many jobs at once, of their traces in Redis, and of producers in other languages.

use std::process::Command;
use std::time::{Duration, Instant};

use e2e::process::Build;
use e2e::redis::RedisServer;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;

const LONG: Duration = Duration::from_secs(120);
const BUILD: Build = Build::Lean;
const JOBS: &str = "postrider:{default}:jobs";

/// 50,000 jobs that wait for one and the same millisecond.
fn schedule_all_at_once(redis: &RedisServer, url: &str) {
    let script = "for i = 1, 2500 do \
                    local job_id = ARGV[2] .. '-' .. i \
                    redis.call('ZADD', KEYS[2], ARGV[3], job_id) \
                    redis.call('HSET', KEYS[1], job_id, cmsgpack.pack({'url', ARGV[1], '_job_id', job_id, '_enqueued_at', '1'})) \
                  end";
    let (waiting, scheduled) = ("postrider:{default}:waiting", "postrider:{default}:scheduled");
    for batch in 0..20 {
        redis.command(&["EVAL", script, "2", waiting, scheduled, url, &batch.to_string(), "1795396101000"]);
    }
}

#[test]
fn jobs_that_are_due_in_one_millisecond_do_not_hold_up_the_others() {
    let world = World::new(BUILD);
    let sink = &world.sink;
    // Each job is dead after one attempt, which is all that matters here.
    schedule_all_at_once(&world.redis, "ftp://nowhere/");
    let queue = world.queue();
    assert_eq!(queue.scheduled(), 50_000);
    let _worker = world.worker_with(&[], &[("POSTRIDER_LOG", "error,postrider_worker::engine=info")]);
    let mut slowest = Duration::ZERO;
    let mut sent = 0;
    while queue.scheduled() > 0 {
        let began = Instant::now();
        queue.enqueue(&[("url", sink.url("/ok"))]);
        sent += 1;
        sink.wait_for(sent, DEADLINE);
        slowest = slowest.max(began.elapsed());
        // A crowded stream gets a thousand jobs a second, and a loaded machine dead-letters fewer.
        assert!(queue.depth() <= 20_000, "the stream is not flooded: {}", queue.depth());
    }
    assert!(sent > 10, "other jobs went on: {sent}");
    queue.wait_until_drained(LONG);
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

fn used_memory(redis: &RedisServer) -> i64 {
    let info = redis.command(&["INFO", "memory"]).text();
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory_dataset:"));
    // Some servers report a small negative number as an unsigned one.
    let bytes = line.and_then(|bytes| bytes.trim().parse::<u64>().ok());
    bytes.expect("Redis reports its memory").cast_signed()
}

#[test]
fn delivered_jobs_leave_redis_as_large_as_before() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    // Redis' own memory grows with each new command: a histogram of 25 kB and more, and entries of the slow log. A
    // server before 7 has no histograms and refuses the first setting.
    redis.command(&["CONFIG", "SET", "latency-tracking", "no"]);
    assert_eq!(redis.command(&["CONFIG", "SET", "slowlog-max-len", "0"]).text(), "OK");
    let mut worker = world.worker(&[]);
    let queue = world.queue();
    let add = "for i = 1, 2000 do redis.call('XADD', KEYS[1], '*', 'url', ARGV[1], 'body', ARGV[2]) end";
    let body = "x".repeat(512);
    let through = |round: usize| {
        redis.command(&["EVAL", add, "1", JOBS, &sink.url("/ok"), &body]);
        sink.wait_for(2000 * round, LONG);
        queue.wait_until_drained(LONG);
    };
    // The first round creates what stays: the group, the scripts, the buffers.
    through(1);
    let before = used_memory(redis);
    for round in 2..=10 {
        through(round);
    }
    // The buffers of connections shrink after a while; a leak does not.
    eventually_or("as little memory as before", DEADLINE, || match used_memory(redis) - before {
        ..100_000 => Ok(()),
        more => Err(format!("{more} bytes more after 18,000 jobs")),
    });
    assert_eq!(
        redis.command(&["KEYS", "*"]).array().len(),
        4,
        "the stream, the workers, the mark and the counts"
    );
    assert!(worker.stop().success());
    assert_eq!(
        redis.command(&["KEYS", "*"]).array().len(),
        3,
        "the stream with its group, the mark and the counts"
    );
}

#[test]
fn a_producer_in_python_is_ten_lines() {
    let world = World::new(BUILD);
    let sink = &world.sink;
    let _worker = world.worker(&[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../queue/examples/producer.py");
    let output = Command::new("python3")
        .args([script, "127.0.0.1", &world.redis.port.to_string(), &sink.url("/ok"), r#"{"from":"Python"}"#])
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains('-'), "it prints the job id: {output:?}");
    assert_eq!(&sink.wait_for(1, DEADLINE)[0].body[..], br#"{"from":"Python"}"#);
    world.queue().wait_until_drained(DEADLINE);
}

#[test]
fn a_backlog_of_a_dead_worker_is_taken_over_as_fast_as_slots_allow() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    redis.command(&["XGROUP", "CREATE", JOBS, "postrider", "0", "MKSTREAM"]);
    let add = "for i = 1, 5000 do redis.call('XADD', KEYS[1], '*', 'url', ARGV[1]) end \
               redis.call('XREADGROUP', 'GROUP', 'postrider', 'ghost', 'COUNT', 5000, 'STREAMS', KEYS[1], '>')";
    redis.command(&["EVAL", add, "1", JOBS, &sink.url("/ok")]);
    let queue = world.queue();
    assert_eq!(queue.pending(), 5000);
    // With four polls a lease and 64 slots it would take 20 leases.
    let lease = Duration::from_secs(5);
    let _worker = world.worker_with(&["--lease", "5s"], &[("POSTRIDER_LOG", "info")]);
    sink.wait_for(1, DEADLINE);
    let began = Instant::now();
    sink.wait_for(5000, LONG);
    queue.wait_until_drained(LONG);
    assert!(began.elapsed() < 8 * lease, "{:?}", began.elapsed());
    assert_eq!(sink.requests().len(), 5000, "each once");
}

#[test]
fn workers_that_come_and_go_leave_nothing_behind() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    for round in 1..=10 {
        let mut worker = world.worker(&[]);
        world.queue().enqueue(&[("url", sink.url("/ok"))]);
        sink.wait_for(round, DEADLINE);
        assert!(worker.stop().success());
    }
    assert_eq!(redis.command(&["XINFO", "CONSUMERS", JOBS, "postrider"]).array().len(), 0);
    assert_eq!(redis.command(&["EXISTS", "postrider:{default}:workers"]).integer(), 0);
}
