//! Tests of the queue's policies: weights, shards, retry policies, idempotency, caps, poison.

mod shards;

use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;

const BUILD: Build = Build::Otel;

fn send(redis: &RedisServer, arguments: &[&str]) -> Output {
    let url = redis.url();
    let arguments = [&["send", "--redis-url", &url], arguments].concat();
    Postrider::run(BUILD, &arguments, &[], DEADLINE)
}

fn flood(redis: &RedisServer, queue: &str, url: &str, jobs: usize) {
    let queue = Queue::new(redis, queue);
    for _ in 0..jobs {
        queue.enqueue(&[("url", url)]);
    }
}

/// How many of the first requests went to a path.
fn of_first(sink: &Sink, first: usize, path: &str) -> usize {
    sink.wait_for(first, DEADLINE)[..first].iter().filter(|request| request.path == path).count()
}

#[test]
fn queues_are_read_in_proportion_to_their_weights() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    flood(redis, "default", &sink.url("/slow/5?default"), 200);
    flood(redis, "bulk", &sink.url("/slow/5?bulk"), 200);
    let arguments = ["--queue", "default:4", "--queue", "bulk:1", "--concurrency", "5"];
    let _worker = world.worker(&arguments);
    let default = of_first(sink, 100, "/slow/5?default");
    assert!((70..=90).contains(&default), "{default} of 100 where 80 were due");
    sink.wait_for(400, DEADLINE);
    world.queue().wait_until_drained(DEADLINE);
    Queue::new(redis, "bulk").wait_until_drained(DEADLINE);
}

#[test]
fn in_strict_order_the_first_queue_is_emptied_first() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    flood(redis, "bulk", &sink.url("/ok?bulk"), 50);
    flood(redis, "urgent", &sink.url("/ok?urgent"), 50);
    let arguments = ["--queue", "urgent,bulk", "--strict-order", "--concurrency", "2"];
    let _worker = world.worker(&arguments);
    let urgent = of_first(sink, 50, "/ok?urgent");
    assert!(urgent >= 48, "{urgent} of the first 50, and two may be in flight side by side");
    sink.wait_for(100, DEADLINE);
}

#[test]
fn an_idempotency_key_enqueues_once_and_answers_with_the_first_job_id() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let _worker = world.worker(&[]);
    let url = sink.url("/ok");
    let job_ids: Vec<String> = (0..3).map(|_| send(redis, &[&url, "--key", "order-7"]).stdout).collect();
    assert_eq!(job_ids[0], job_ids[1]);
    assert_eq!(job_ids[0], job_ids[2]);
    assert_ne!(send(redis, &[&url, "--key", "order-8"]).stdout, job_ids[0]);
    sink.wait_for(2, DEADLINE);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), 2);
    let expired = send(redis, &[&url, "--key", "brief", "--key-ttl", "1ms"]).stdout;
    let again = eventually("a key that is forgotten", DEADLINE, || {
        let again = send(redis, &[&url, "--key", "brief", "--key-ttl", "1ms"]).stdout;
        (again != expired).then_some(again)
    });
    assert_ne!(again, expired);
}

#[test]
fn a_full_queue_refuses_with_a_sentence() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let url = &sink.url("/ok");
    for _ in 0..2 {
        assert_eq!(send(redis, &[url, "--cap", "2"]).code(), 0);
    }
    let refused = send(redis, &[url, "--cap", "2"]);
    assert_eq!(refused.code(), 4, "{refused:?}");
    assert!(refused.stderr.contains("the queue is full: it holds 2 jobs"), "{refused:?}");
    assert_eq!(world.queue().depth(), 2);
    let _worker = world.worker(&[]);
    sink.wait_for(2, DEADLINE);
    // A full queue refuses jobs, and accepts them as soon as there is room.
    for _ in 0..5 {
        eventually("room", DEADLINE, || (send(redis, &[url, "--cap", "1"]).code() == 0).then_some(()));
    }
    sink.wait_for(7, DEADLINE);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), 7);
}

#[test]
fn a_job_follows_the_retry_policy_that_it_names() {
    let world = World::new(BUILD);
    let sink = &world.sink;
    let config = TextFile::new(
        "[retry.gentle]\nwaits = [\"10ms\", \"20ms\"]\n[retry.brief]\nbase = \"1h\"\nmax_age = \"1ms\"\n",
    );
    let _worker = world.worker(&["--config", config.path()]);
    let queue = world.queue();
    queue.enqueue(&[("url", sink.url("/status/503").as_str()), ("retry", "gentle")]);
    queue.enqueue(&[("url", sink.url("/status/502").as_str()), ("retry", "brief")]);
    queue.enqueue(&[("url", sink.url("/ok").as_str()), ("retry", "gentel")]);
    let dead =
        eventually("three dead letters", DEADLINE, || Some(queue.dead()).filter(|dead| dead.len() == 3));
    let reason = |part: &str| {
        let of =
            |letter: &&e2e::queue::DeadLetter| letter.field("url").is_some_and(|url| url.ends_with(part));
        let letter = dead.iter().find(of).expect("a letter of that job");
        (letter.reason(), letter.field("_error").expect("an error"))
    };
    assert_eq!(reason("/status/503").0, "attempts");
    assert_eq!(reason("/status/502").0, "expired");
    let (malformed, error) = reason("/ok");
    assert_eq!(malformed, "malformed");
    let meant = "no policy is named \"gentel\" (did you mean `gentle`?); known are default, brief, gentle";
    assert!(error.contains(meant), "{error}");
    assert_eq!(sink.requests_to("/status/503").len(), 3, "one attempt more than there are waits");
    assert_eq!(sink.requests().len(), 4);
}

#[test]
fn every_mistake_of_a_configuration_is_reported_and_nothing_starts() {
    let redis = RedisServer::start();
    let config = TextFile::new("[queues.x]\nweight = 0\n[retry.y]\nbase = 1\n");
    let arguments = ["worker", "--redis-url", &redis.url(), "--config", config.path()];
    let output = Postrider::run(BUILD, &arguments, &[], DEADLINE);
    assert_eq!(output.code(), 2, "{output:?}");
    assert!(output.stderr.contains("line 2") && output.stderr.contains("line 4"), "{output:?}");
}

/// Enqueues a job that a dead worker has fetched `times` times.
fn taken_up(redis: &RedisServer, url: &str, times: u64) {
    let entry = Queue::new(redis, "default").enqueue(&[("url", url)]);
    let jobs = "postrider:{default}:jobs";
    redis.command(&["XREADGROUP", "GROUP", "postrider", "ghost", "COUNT", "1", "STREAMS", jobs, ">"]);
    let count = times.to_string();
    redis.command(&[
        "XCLAIM",
        jobs,
        "postrider",
        "ghost",
        "0",
        &entry,
        "RETRYCOUNT",
        &count,
        "IDLE",
        "100000",
        "JUSTID",
    ]);
}

#[test]
fn poison_is_dead_lettered_and_the_jobs_beside_it_are_not() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    redis.command(&["XGROUP", "CREATE", "postrider:{default}:jobs", "postrider", "0", "MKSTREAM"]);
    taken_up(redis, &sink.url("/ok?poison"), 5);
    for suspect in 0..5 {
        taken_up(redis, &sink.url(&format!("/ok?suspect{suspect}")), 3);
    }
    taken_up(redis, &sink.url("/ok?innocent"), 1);
    let _worker = world.worker(&["--lease", "500ms"]);
    let queue = world.queue();
    sink.wait_for(6, DEADLINE);
    world.queue().wait_until_drained(DEADLINE);
    let dead = queue.dead();
    assert_eq!(dead.iter().map(e2e::queue::DeadLetter::reason).collect::<Vec<_>>(), ["poison"]);
    assert!(sink.requests_to("/ok?poison").is_empty());
}

#[test]
fn a_worker_that_is_long_dead_is_forgotten_once_it_holds_nothing() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let jobs = "postrider:{default}:jobs";
    redis.command(&["XGROUP", "CREATE", jobs, "postrider", "0", "MKSTREAM"]);
    taken_up(redis, &sink.url("/ok"), 1);
    let record = r#"{"seen":1,"lease_ms":500,"version":"0"}"#;
    redis.command(&["HSET", "postrider:{default}:workers", "ghost", record]);
    let _worker = world.worker(&["--lease", "500ms", "--threads", "1"]);
    sink.wait_for(1, DEADLINE);
    eventually("one worker", DEADLINE, || {
        let consumers = redis.command(&["XINFO", "CONSUMERS", jobs, "postrider"]).array().len();
        let records = redis.command(&["HLEN", "postrider:{default}:workers"]).integer();
        (consumers == 1 && records == 1).then_some(())
    });
}

#[test]
fn a_worker_that_was_paused_past_its_lease_cannot_settle_what_another_took_over() {
    use nix::sys::signal::Signal;
    let world = World::new(BUILD);
    let sink = &world.sink;
    let lease = ["--lease", "1s", "--retry-base", "10ms"];
    let mut paused = world.worker(&lease);
    world.queue().enqueue(&[("url", sink.url("/slow/1500").as_str())]);
    sink.wait_for(1, DEADLINE);
    paused.signal(Signal::SIGSTOP);
    let other = world.worker(&lease);
    sink.wait_for(2, DEADLINE);
    paused.signal(Signal::SIGCONT);
    let lost = eventually("a log line about it", DEADLINE, || {
        paused.log().into_iter().find(|line| line.contains("lease was lost") || line.contains("lease lost"))
    });
    assert!(lost.contains("WARN"), "{lost}");
    world.queue().wait_until_drained(DEADLINE);
    assert!(world.queue().dead().is_empty());
    assert_eq!(sink.requests().len(), 2);
    assert!(!other.log().iter().any(|line| line.contains("lease")), "{:?}", other.log());
}
