//! Tests of the main job: jobs are delivered, retried or dead-lettered, in both builds.

use std::time::{Duration, Instant};

use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::{RedisServer, on_path};
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;
use serde_json::json;

e2e::in_both_builds!(
    a_job_enqueued_by_redis_cli_arrives_as_it_was_written,
    the_redis_cli_tool_is_a_producer,
    a_job_without_a_method_is_a_post,
    send_reports_the_outcome_of_the_job,
    send_prints_the_job_id,
    send_refuses_what_is_not_a_job,
    a_failed_job_is_tried_again_as_it_was,
    two_jobs_with_one_id_are_two_jobs,
    an_attempt_that_takes_too_long_is_a_failure,
    many_jobs_leave_nothing_behind,
    a_delayed_job_is_not_early,
);

const FAST_RETRY: [&str; 2] = ["--retry-base", "50ms"];

fn send(build: Build, redis: &RedisServer, arguments: &[&str]) -> Output {
    let url = redis.url();
    let arguments = [&["send", "--redis-url", &url], arguments].concat();
    Postrider::run(build, &arguments, &[], DEADLINE)
}

fn a_job_enqueued_by_redis_cli_arrives_as_it_was_written(build: Build) {
    let world = World::new(build);
    let sink = &world.sink;
    let _worker = world.worker(&[]);
    let headers = r#"{"X-One":"1","X-Two":["a","b"]}"#;
    let body = b"\x00\xff not text \r\n";
    world.redis.command(&[
        b"XADD",
        b"postrider:{default}:jobs".as_slice(),
        b"*",
        b"url",
        sink.url("/ok?a=b%20c").as_bytes(),
        b"method",
        b"PUT",
        b"headers",
        headers.as_bytes(),
        b"body",
        body,
    ]);
    let request = &sink.wait_for(1, DEADLINE)[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/ok?a=b%20c"));
    assert_eq!(request.header("x-one"), Some("1"));
    let twice = request.headers.iter().filter(|(name, _)| name == "x-two").map(|(_, value)| value);
    assert_eq!(twice.collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(&request.body[..], body);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), 1);
}

fn the_redis_cli_tool_is_a_producer(build: Build) {
    let Some(redis_cli) = on_path("redis-cli") else {
        println!("skipped: there is no redis-cli on the PATH");
        return;
    };
    let world = World::new(build);
    let sink = &world.sink;
    let _worker = world.worker(&[]);
    let status = std::process::Command::new(redis_cli)
        .args(["-p", &world.redis.port.to_string(), "XADD", "postrider:{default}:jobs", "*"])
        .args(["url", &sink.url("/ok"), "body", r#"{"hello":1}"#])
        .status();
    assert!(status.expect("redis-cli runs").success());
    assert_eq!(&sink.wait_for(1, DEADLINE)[0].body[..], br#"{"hello":1}"#);
    world.queue().wait_until_drained(DEADLINE);
}

fn a_job_without_a_method_is_a_post(build: Build) {
    let world = World::new(build);
    let sink = &world.sink;
    // Enqueued before there is a worker or a consumer group.
    world.queue().enqueue(&[("url", sink.url("/ok"))]);
    let _worker = world.worker(&[]);
    let request = &sink.wait_for(1, DEADLINE)[0];
    assert_eq!((request.method.as_str(), request.body.len()), ("POST", 0));
}

fn send_reports_the_outcome_of_the_job(build: Build) {
    let world = World::new(build);
    let sink = &world.sink;
    let _worker = world.worker(&[]);
    let send = |path: &str, timeout: &str| {
        let url = sink.url(path);
        let output = send(
            build,
            &world.redis,
            &["POST", &url, "-d", "x", "--wait", "--wait-timeout", timeout, "--json"],
        );
        let answer = output.json();
        let [outcome, status, attempts, reason] =
            ["outcome", "status", "attempts", "reason"].map(|field| answer[field].clone());
        (output.code(), outcome, status, attempts, reason)
    };
    assert_eq!(send("/ok", "20s"), (0, json!("succeeded"), json!(200), json!(1), json!(null)));
    assert_eq!(send("/status/410", "20s"), (1, json!("dead"), json!(410), json!(1), json!("final_status")));
    let (code, outcome, ..) = send("/hang", "500ms");
    assert_eq!((code, outcome), (3, json!("waiting")));
}

fn send_prints_the_job_id(build: Build) {
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let url = sink.url("/ok");
    let output = send(build, redis, &["PUT", &url, "-H", "X-One: 1", "-d", "hello"]);
    assert_eq!(output.code(), 0, "{output:?}");
    let entry_id =
        redis.command(&["XRANGE", "postrider:{default}:jobs", "-", "+"]).array()[0].array()[0].text();
    assert_eq!(output.stdout.trim_end(), entry_id);
    let _worker = world.worker(&[]);
    let request = &sink.wait_for(1, DEADLINE)[0];
    assert_eq!((request.method.as_str(), request.header("x-one")), ("PUT", Some("1")));
    assert_eq!(&request.body[..], b"hello");
}

fn send_refuses_what_is_not_a_job(build: Build) {
    let redis = RedisServer::start();
    let output = send(build, &redis, &["POST", "ftp://127.0.0.1/"]);
    assert_eq!((output.code(), output.stdout.as_str()), (2, ""), "{output:?}");
    assert!(output.stderr.contains("url"), "{output:?}");
    assert_eq!(Queue::new(&redis, "default").depth(), 0);
}

fn a_failed_job_is_tried_again_as_it_was(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&FAST_RETRY);
    let url = sink.url("/flaky/2/a");
    queue.enqueue(&[
        ("url", url.as_str()),
        ("label", "order-1"),
        ("body", "hello"),
        ("headers", r#"{"A":"b"}"#),
    ]);
    let requests = sink.wait_for(3, DEADLINE);
    for request in &requests {
        assert_eq!((&request.body[..], request.header("a")), (b"hello".as_slice(), Some("b")));
    }
    let constant = |index: usize| {
        let headers = requests[index].headers.iter().filter(|(name, _)| name != "traceparent");
        headers.cloned().collect::<Vec<_>>()
    };
    assert_eq!(constant(1), constant(0), "all other headers stay the same");
    assert_eq!(constant(2), constant(0));
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (3, 0));
}

fn two_jobs_with_one_id_are_two_jobs(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&FAST_RETRY);
    for name in ["a", "b"] {
        let url = sink.url(&format!("/flaky/2/{name}"));
        queue.enqueue(&[("url", url.as_str()), ("label", "same"), ("body", name)]);
    }
    sink.wait_for(6, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    for name in ["a", "b"] {
        let bodies = sink.requests_to(&format!("/flaky/2/{name}")).into_iter().map(|request| request.body);
        assert_eq!(bodies.collect::<Vec<_>>(), [name, name, name]);
    }
    assert_eq!(queue.dead().len(), 0);
}

fn an_attempt_that_takes_too_long_is_a_failure(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&FAST_RETRY);
    let url = sink.url("/hang");
    queue.enqueue(&[("url", url.as_str()), ("timeout_ms", "100"), ("max_attempts", "2")]);
    let dead = eventually("a dead letter", DEADLINE, || queue.dead().pop());
    assert_eq!(dead.reason(), "attempts");
    assert_eq!(sink.requests().len(), 2);
}

fn many_jobs_leave_nothing_behind(build: Build) {
    const JOBS: usize = 300;
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    for number in 0..JOBS {
        queue.enqueue(&[("url", sink.url("/ok")), ("body", number.to_string())]);
    }
    queue.wait_until_drained(DEADLINE);
    let mut bodies: Vec<usize> = sink
        .requests()
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body).parse().expect("a number"))
        .collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..JOBS).collect::<Vec<_>>(), "each job came exactly once");
    assert_eq!(queue.dead().len(), 0);
}

fn a_delayed_job_is_not_early(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    let before = Instant::now();
    queue.enqueue(&[("url", sink.url("/ok")), ("delay_ms", "700".to_owned())]);
    let arrived = sink.wait_for(1, DEADLINE)[0].arrived;
    // An entry id is cut to milliseconds.
    assert!(arrived - before >= Duration::from_millis(699), "{:?}", arrived - before);
    queue.wait_until_drained(DEADLINE);
}
