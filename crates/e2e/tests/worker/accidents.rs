//! Tests of accidents that attacks on the worker have found: each once stalled, lost or multiplied jobs.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;

const BUILD: Build = Build::Otel;
const JOBS: &str = "postrider:{default}:jobs";

#[test]
fn a_job_whose_delivery_was_lost_on_the_way_is_delivered_again() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let _worker = world.worker(&["--lease", "500ms"]);
    let consumer = eventually("a worker that has written its name", DEADLINE, || {
        let consumers = redis.command(&["HKEYS", "postrider:{default}:workers"]);
        consumers.array().first().map(e2e::resp::Reply::text)
    });
    // Read in the worker's name, as if its reply were lost. The worker may be faster: then repeat.
    eventually("a job that the worker does not know", DEADLINE, || {
        let add = format!(
            "redis.call('XADD', KEYS[1], '*', 'url', '{}') \
             return redis.call('XREADGROUP', 'GROUP', 'postrider', ARGV[1], 'COUNT', 1, 'STREAMS', KEYS[1], '>')",
            sink.url("/ok")
        );
        let read = redis.command(&["EVAL", &add, "1", JOBS, &consumer]);
        matches!(read, e2e::resp::Reply::Array(_)).then_some(())
    });
    sink.wait_for(1, DEADLINE);
    world.queue().wait_until_drained(DEADLINE);
}

#[test]
fn headers_beyond_number_are_malformed_and_the_next_job_runs() {
    let world = World::new(BUILD);
    let sink = &world.sink;
    let _worker = world.worker(&[]);
    let queue = world.queue();
    let headers: Vec<String> = (0..40_000).map(|number| format!("\"x{number}\":\"\"")).collect();
    queue.enqueue(&[("url", sink.url("/ok")), ("headers", format!("{{{}}}", headers.join(",")))]);
    queue.enqueue(&[("url", sink.url("/ok"))]);
    sink.wait_for(1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(queue.dead()[0].reason(), "malformed");
}

#[test]
fn a_worker_starts_and_drains_while_redis_is_full() {
    let world = World::new(BUILD);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    redis.command(&["XGROUP", "CREATE", JOBS, "postrider", "0", "MKSTREAM"]);
    queue.enqueue(&[("url", sink.url("/flaky/1/full"))]);
    queue.enqueue(&[("url", sink.url("/status/410"))]);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let _worker = world.worker(&["--retry-base", "10ms"]);
    sink.wait_for_path("/flaky/1/full", 2, DEADLINE);
    eventually("nothing left", DEADLINE, || (queue.depth() + queue.waiting() == 0).then_some(()));
    // Some servers refuse a MULTI while they are full.
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(queue.dead().len(), 1);
}

#[test]
fn settlements_that_redis_refuses_bound_what_is_fetched() {
    let world = World::new(BUILD);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    redis.command(&["SET", "postrider:{default}:dead", "oops"]);
    for _ in 0..100 {
        queue.enqueue(&[("url", sink.url("/status/404"))]);
    }
    // Each thread has its own limit, and its own line.
    let mut worker = world.worker(&["--concurrency", "4", "--threads", "1"]);
    worker.wait_for_log("Redis refuses a command", DEADLINE);
    eventually("it fetches no more", DEADLINE, || (queue.pending() > 16).then_some(()));
    // 17 wait for their settlement, 4 are in slots, and a blocking read fetched one.
    assert!(queue.pending() <= 22, "{} jobs are in flight", queue.pending());
    assert!(!worker.log().iter().any(|line| line.contains("job dead-lettered")), "nothing is dead-lettered");
    redis.command(&["DEL", "postrider:{default}:dead"]);
    eventually("all are dead-lettered", DEADLINE, || (queue.dead().len() == 100).then_some(()));
    queue.wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), 100, "each was sent once");
    let refusals = worker.log().iter().filter(|line| line.contains("Redis refuses")).count();
    assert_eq!(refusals, 1, "logged once");
}

#[test]
fn a_missing_right_duplicates_no_job() {
    let world = World::new(BUILD);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    redis.command(&["ACL", "SETUSER", "worker", "on", ">pw", "~*", "&*", "+@all", "-xack"]);
    queue.enqueue(&[("url", sink.url("/status/410"))]);
    let url = redis.url().replace("redis://", "redis://worker:pw@");
    let mut worker = world.worker_with(&[], &[("POSTRIDER_REDIS_URL", &url)]);
    worker.wait_for_log("Redis refuses a command", DEADLINE);
    assert_eq!((queue.depth(), queue.dead().len()), (1, 0));
    redis.command(&["ACL", "SETUSER", "worker", "+xack"]);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(queue.dead().len(), 1);
}

#[test]
fn a_success_counts_although_its_body_breaks_off() {
    let redis = RedisServer::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let sink = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbroken").expect("an answer");
    });
    let _worker = Postrider::ready_worker(BUILD, &redis, &[], &[]);
    let output = Postrider::run(BUILD, &["send", "--redis-url", &redis.url(), &url, "--wait"], &[], DEADLINE);
    assert_eq!(output.code(), 0, "{output:?}");
    assert!(output.stdout.contains("succeeded with 200 after 1 attempt"), "{output:?}");
    sink.join().expect("it answers");
}

/// Only entries that our scripts wrote have fields of the worker.
#[test]
fn fields_of_the_worker_are_not_believed_from_a_producer() {
    let world = World::new(BUILD);
    let _worker = world.worker(&[]);
    let queue = world.queue();
    let url = world.sink.url("/status/503");
    let job = [("url", url.as_str()), ("max_attempts", "1"), ("result_ttl_ms", "60000")];
    let forged = [
        ("_job_id", "7-7"),
        ("_attempt", "50"),
        ("_history", r#"[{"at":1,"ms":1,"status":204}]"#),
        ("_admitted", "yes"),
        ("_mark", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ];
    let entry = queue.enqueue(&[&job[..], &forged].concat());
    let letter = eventually("a dead letter", DEADLINE, || queue.dead().pop());
    assert_eq!(
        [letter.field("_job_id"), letter.field("_attempt")],
        [Some(entry.clone()), Some("1".to_owned())]
    );
    let history =
        letter.field("_history").and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    let attempts = history.as_ref().and_then(|history| history.as_array()).expect("a list of attempts");
    let statuses: Vec<_> = attempts.iter().map(|attempt| attempt["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(503)], "{letter:?}");
    assert_eq!((queue.result("7-7"), queue.result(&entry).is_some()), (None, true), "no other's result");
}

#[test]
fn a_made_up_job_id_overwrites_no_job_that_waits() {
    let world = World::new(BUILD);
    let sink = &world.sink;
    let _worker = world.worker(&[]);
    let queue = world.queue();
    for path in ["/ok?one", "/ok?two"] {
        queue.enqueue(&[("url", sink.url(path).as_str()), ("delay_ms", "300"), ("_job_id", "7-7")]);
    }
    sink.wait_for(2, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(sink.requests_to("/ok?one").len(), 1);
}

#[test]
fn idle_queues_keep_no_slot_from_a_busy_one() {
    let world = World::new(BUILD);
    let sink = &world.sink;
    let names: Vec<String> = (0..10).map(|number| format!("idle{number}")).collect();
    let queues = format!("{},busy", names.join(","));
    let arguments = ["--concurrency", "1", "--queue", &queues];
    let _worker = world.worker(&arguments);
    let queue = Queue::new(&world.redis, "busy");
    let began = std::time::Instant::now();
    for number in 1..=20 {
        queue.enqueue(&[("url", sink.url("/ok"))]);
        sink.wait_for(number, DEADLINE);
    }
    // Each job wakes its queue when it arrives. If one blocking read delayed them, a single one would take 5 s.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
