//! Limits of bytes, which are checked before they do harm, and of what is kept.

use std::time::{Duration, Instant};

use e2e::hostile::{Behaviour, Hostile};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "headers_and_histories_that_are_hard_to_parse",
        does: "jobs with 4 MB of `headers` or `_history` made of `[[[[…` or `[],[],…`",
        expects: "each costs the worker at most 50 ms of CPU time more than as much of a body",
        run: hard_to_parse,
    },
    Case {
        name: "a_job_of_nearly_the_largest_size",
        does: "a job of 4 MiB minus 100 bytes whose first attempt gets 503, and one that gets 404",
        expects: "the first is delivered by its second attempt; the dead letter of the other has its whole body",
        run: nearly_largest,
    },
    Case {
        name: "garbage_beside_a_dead_letter",
        does: "103,000 entries that are no jobs, beside one dead letter",
        expects: "the dead letter stays, about 10,000 entries are kept, and the log has less than 1 MB",
        run: garbage,
    },
    Case {
        name: "a_response_of_control_characters",
        does: "a destination answers with 64 KiB of control characters in its body and of bytes above 127 in its headers",
        expects: "the kept result has at most 96 KiB",
        run: control_characters,
    },
    Case {
        name: "many_jobs_in_many_flows",
        does: "900 flows hold 900,000 jobs; then 2,000 flows hold 10,000 jobs and one is an orphan",
        expects: "each call takes less than 5 ms; the orphan is delivered within 120 s",
        run: many_flows,
    },
];

const LARGEST: usize = 4 << 20;

/// The CPU time that a process has used.
fn cpu(process: u32) -> Duration {
    let id = Pid::from_raw(i32::try_from(process).expect("a process id is a positive i32"));
    clock_getcpuclockid(id).and_then(|clock| clock.now()).expect("the process runs").into()
}

fn hard_to_parse() -> String {
    const JOBS: u32 = 10;
    let world = World::new(BUILD);
    let (queue, worker) = (world.queue(), world.worker(&[]));
    let url = world.sink.url("/ok").into_bytes();
    let cost = |field: &str, piece: &str| {
        let value = piece.repeat((LARGEST - 1000) / piece.len()).into_bytes();
        let before = cpu(worker.pid());
        for _ in 0..JOBS {
            queue.enqueue(&[("url", url.clone()), (field, value.clone())]);
            queue.wait_until_drained(DEADLINE);
        }
        (cpu(worker.pid()) - before) / JOBS
    };
    let body = cost("body", "[],");
    let mut worst = Duration::ZERO;
    for field in ["headers", "_history"] {
        for piece in ["[", "[],"] {
            let more = cost(field, piece).saturating_sub(body);
            assert!(
                more < Duration::from_millis(50),
                "{field} of {piece:?}: {more:?} more than a body ({body:?})"
            );
            worst = worst.max(more);
        }
    }
    format!("at most {worst:.1?} more than a body of that size, which takes {body:.1?}")
}

fn nearly_largest() -> String {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    for path in ["/flaky/1/large", "/status/404"] {
        let url = sink.url(path);
        let body = vec![b'x'; LARGEST - 100 - "urlbody".len() - url.len()];
        queue.enqueue(&[("url", url.into_bytes()), ("body", body.clone())]);
        queue.wait_until_drained(DEADLINE);
        let kept = queue.dead().first().and_then(|letter| letter.field("body")).map(|kept| kept.len());
        assert_eq!(kept, path.starts_with("/status").then_some(body.len()), "{path}");
    }
    assert_eq!((sink.requests().len(), queue.dead()[0].reason().as_str()), (3, "final_status"));
    "delivered by the second attempt; a whole dead letter".to_owned()
}

fn garbage() -> String {
    const BATCH: &str = "for i = 1, 1000 do redis.call('XADD', KEYS[1], '*', 'no', 'job ' .. i) end";
    let world = World::new(BUILD);
    let queue = world.queue();
    let worker = world.worker(&[]);
    queue.enqueue(&[("url", world.sink.url("/status/404"))]);
    queue.wait_until_drained(DEADLINE);
    let began = Instant::now();
    for _ in 0..103 {
        world.redis.command(&["EVAL", BATCH, "1", &queue.key("jobs")]);
    }
    queue.wait_until_drained(Duration::from_secs(180));
    let took = began.elapsed();
    let length = |stream: &str| world.redis.command(&["XLEN", &queue.key(stream)]).integer();
    let log: usize = worker.log().iter().map(|line| line.len() + 1).sum();
    let (dead, rejected) = (length("dead"), length("rejected"));
    let measured = format!("{dead} dead letter, {rejected} rejected, {log} bytes of log, {took:.1?}");
    assert!(dead == 1 && (10_000..=10_200).contains(&rejected) && log < 1_000_000, "{measured}");
    measured
}

fn control_characters() -> String {
    let world = World::new(BUILD);
    let queue = world.queue();
    let _worker = world.worker(&[]);
    let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..60 {
        answer.extend(format!("x-{number}: ").into_bytes());
        answer.extend([0x80_u8, b'"', b'\\'].repeat(330));
        answer.extend(b"\r\n");
    }
    answer.extend(b"content-length: 65536\r\n\r\n");
    answer.extend([1; 65536]);
    let server = Hostile::start(Behaviour::Answer(answer), None);
    let url = format!("http://127.0.0.1:{}/", server.port());
    let job_id = queue.enqueue(&[("url", url.as_str()), ("result_ttl_ms", "60000"), ("max_attempts", "1")]);
    let result = wait::eventually("a result", DEADLINE, || queue.result(&job_id));
    assert!(result.contains("200") && result.len() <= 96 << 10, "{} bytes", result.len());
    format!("the result has {} bytes", result.len())
}

/// Fills a queue with jobs that flows hold for an hour.
fn fill(redis: &RedisServer, queue: Queue<'_>, flows: usize, jobs: usize) {
    const FILL: &str = "local now = redis.call('TIME')[1] * 1000 \
        for i = ARGV[1] + 1, ARGV[1] + ARGV[2] do \
          local name = 'f' .. i % ARGV[3] \
          local flow = redis.sha1hex(name):sub(1, 16) \
          redis.call('HSET', KEYS[1], i .. '-0', cmsgpack.pack({'url', 'http://127.0.0.1:9/', 'flow', name})) \
          redis.call('ZADD', KEYS[3] .. flow, i, i .. '-0') \
          redis.call('ZADD', KEYS[2], now + 3600000, flow) end";
    let keys = ["waiting", "flows", "flow:"].map(|what| queue.key(what));
    for from in (0..jobs).step_by(10_000) {
        let numbers = [from, 10_000.min(jobs), flows].map(|number| number.to_string());
        let script = ["EVAL", FILL, "3", &keys[0], &keys[1], &keys[2], &numbers[0], &numbers[1], &numbers[2]];
        redis.command(&script);
    }
    assert_eq!(queue.waiting(), jobs as i64);
}

fn many_flows() -> String {
    const SLOW: u64 = 5000;
    let world = World::new(BUILD);
    let (redis, queue) = (&world.redis, world.queue());
    fill(redis, queue, 900, 900_000);
    redis.command(&["CONFIG", "SET", "slowlog-log-slower-than", "2000"]);
    redis.command(&["CONFIG", "RESETSTAT"]);
    let worker = world.worker(&[]);
    redis.command(&["SLOWLOG", "RESET"]);
    wait::unless_interrupted(Duration::from_secs(45));
    let slow: Vec<u64> = redis
        .command(&["SLOWLOG", "GET", "1000"])
        .array()
        .iter()
        // What this program asks, and a worker's start, are no part of it.
        .filter(|row| row.array()[3].array()[0].text().to_lowercase().starts_with("eval"))
        .map(|row| u64::try_from(row.array()[2].integer()).expect("a duration"))
        .collect();
    let slowest = slow.iter().copied().max().unwrap_or(0);
    drop(worker);
    redis.command(&["FLUSHALL"]);
    fill(redis, queue, 2000, 10_000);
    let pack = "return redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack({'url', ARGV[2]}))";
    redis.command(&["EVAL", pack, "1", &queue.key("waiting"), "1795396101000-7", &world.sink.url("/orphan")]);
    let _worker = world.worker(&[]);
    let began = Instant::now();
    world.sink.wait_for_path("/orphan", 1, Duration::from_secs(120));
    let measured = format!(
        "the slowest call took at most {:.1} ms, {} took more than 2 ms; the orphan was delivered after {:.0?}",
        slowest.max(2000) as f64 / 1000.0,
        slow.len(),
        began.elapsed()
    );
    // A busy machine interrupts a server now and then.
    let too_slow = slow.iter().filter(|took| **took >= SLOW).count();
    assert!(too_slow <= 3 && slowest < 10 * SLOW, "{too_slow} calls took more than 5 ms: {measured}");
    measured
}
