//! The outcome of a job by its response: statuses, waits that the destination asks for, kept results.

use std::time::Duration;

use e2e::hostile::{Behaviour, Hostile};
use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;
use e2e::world::World;

e2e::in_both_builds!(
    a_policy_decides_which_statuses_pass,
    a_retry_waits_as_long_as_the_destination_asks,
    a_result_is_kept_for_a_producer_that_waits,
    half_an_answer_is_not_taken_for_all_of_it,
    no_result_is_kept_for_longer_than_seven_days,
);

fn a_policy_decides_which_statuses_pass(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let config = TextFile::new(
        "[retry.default]\nwaits = [\"1ms\"]\n\
         [retry.own]\nwaits = [\"1ms\"]\nretry_statuses = [\"409\", \"3xx\"]\nfinal_statuses = [\"500-501\"]\n",
    );
    let _worker = world.worker(&["--config", config.path()]);
    // Status, attempts by the usual rules, attempts by the policy `own`.
    let cases = [(409, 1, 2), (302, 1, 2), (404, 1, 1), (410, 1, 1), (500, 2, 1), (501, 2, 1), (502, 2, 2)];
    for (status, _, _) in cases {
        queue.enqueue(&[("url", sink.url(&format!("/status/{status}?usual")))]);
        queue.enqueue(&[("url", sink.url(&format!("/status/{status}?own"))), ("retry", "own".to_owned())]);
    }
    queue.wait_until_drained(DEADLINE);
    for (status, usual, own) in cases {
        let requests = |policy: &str| sink.requests_to(&format!("/status/{status}?{policy}")).len();
        assert_eq!((requests("usual"), requests("own")), (usual, own), "{status}");
    }
    assert_eq!(queue.dead().len(), 2 * cases.len());
}

fn a_retry_waits_as_long_as_the_destination_asks(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let config = TextFile::new("[retry.default]\nwaits = [\"1ms\"]\nretry_after_cap = \"8s\"\n");
    let _worker = world.worker(&["--config", config.path()]);
    // The wait that the destination asks for, and the wait that the worker keeps, in milliseconds.
    let cases = [
        ("429\nretry-after: 2", 2000),
        ("503\nretry-after: 1000000000000", 8000),
        ("503\ndate: Tue, 24 Nov 2026 12:00:00 GMT\nretry-after: Tue, 24 Nov 2026 12:00:02 GMT", 2000),
        ("503\nretry-after: Tue, 24 Nov 2020 12:00:00 GMT", 0),
        ("503\nretry-after: soon", 0),
        ("503\nretry-after: -5000", 0),
        ("429\nratelimit-reset: 2", 2000),
        ("429\nx-ratelimit-reset: 2", 2000),
        ("500\nx-ratelimit-reset: 5000", 0),
    ];
    for (number, (answer, _)) in cases.into_iter().enumerate() {
        let url = sink.url(&format!("/reply-once/{number}"));
        // In its own flow: a 429 holds the flow.
        queue.enqueue(&[("url", url.as_str()), ("body", answer), ("flow", &format!("case-{number}"))]);
    }
    queue.wait_until_drained(DEADLINE);
    for (number, (answer, least)) in cases.into_iter().enumerate() {
        let requests = sink.requests_to(&format!("/reply-once/{number}"));
        assert_eq!(requests.len(), 2, "{answer}");
        let waited = requests[1].arrived - requests[0].arrived;
        // A wait that was misread as a long one would take as long as the cap.
        let (least, most) = (Duration::from_millis(least), Duration::from_millis(least.max(2000) + 5000));
        assert!(waited >= least && waited < most, "{answer}: {waited:?}");
    }
    assert_eq!(queue.dead().len(), 0);
}

fn send(build: Build, redis: &RedisServer, arguments: &[&str]) -> Output {
    let url = redis.url();
    let arguments = [&["send", "--redis-url", &url, "--wait"], arguments].concat();
    Postrider::run(build, &arguments, &[], DEADLINE)
}

fn show(build: Build, redis: &RedisServer, job_id: &str, more: &[&str]) -> Output {
    let url = redis.url();
    Postrider::run(build, &[&["jobs", "show", job_id, "--redis-url", &url], more].concat(), &[], DEADLINE)
}

fn a_result_is_kept_for_a_producer_that_waits(build: Build) {
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let config = TextFile::new("[results]\nheaders = [\"x-shown\", \"content-type\"]\nmax_body = 100\n");
    let _worker = world.worker(&["--config", config.path()]);
    let url = sink.url("/reply");
    let answer =
        "201\ncontent-type: text/plain\nset-cookie: hunter2\nx-shown: a\nx-shown: b\n\nhello \u{1b}[2J";
    let sent = send(build, redis, &[&url, "-d", answer]);
    assert_eq!(sent.code(), 0, "{sent:?}");
    assert!(sent.stdout.contains("succeeded with 201 after 1 attempt"), "{}", sent.stdout);
    assert!(
        sent.stdout.contains("x-shown: a, b") && sent.stdout.contains("hello \\u{1b}[2J"),
        "{}",
        sent.stdout
    );
    assert!(!sent.stdout.contains("hunter2") && !sent.stdout.contains('\u{1b}'), "{}", sent.stdout);

    let sent = send(build, redis, &[&url, "--json", "-d", &format!("200\n\n{}", "é".repeat(60))]).json();
    let job_id = sent["job_id"].as_str().expect("a job id").to_owned();
    let result = &sent["result"];
    assert_eq!(
        (result["truncated"].as_bool(), result["body"].as_str()),
        (Some(true), Some(&*"é".repeat(50)))
    );
    assert!(result["duration_ms"].is_u64(), "{result}");
    let shown = show(build, redis, &job_id, &[]);
    assert_eq!(shown.code(), 0, "{shown:?}");
    assert!(
        shown.stdout.contains("succeeded with 200") && shown.stdout.contains("(truncated)"),
        "{}",
        shown.stdout
    );
    let shown = show(build, redis, &job_id, &["--json"]).json();
    assert_eq!(shown["results"][0], *result);

    let dead = send(build, redis, &[&url, "-d", "404\n\ngone"]);
    assert_eq!(dead.code(), 1, "{dead:?}");
    assert!(dead.stdout.contains("dead with 404") && dead.stdout.contains("gone"), "{}", dead.stdout);
    assert_eq!(show(build, redis, "1-1", &[]).code(), 1);
}

#[test]
fn bytes_that_are_no_text_are_kept_in_base64() {
    let world = World::new(Build::Otel);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    let url = sink.url("/reply");
    let body = b"200\n\n\xff\x00".to_vec();
    let job_id = queue.enqueue(&[("url", url.as_bytes()), ("body", &body), ("result_ttl_ms", b"60000")]);
    queue.wait_until_drained(DEADLINE);
    let result: serde_json::Value = serde_json::from_str(&queue.result(&job_id).unwrap()).unwrap();
    assert_eq!((result["body_base64"].as_str(), result.get("body")), (Some("/wA="), None));
}

fn half_an_answer_is_not_taken_for_all_of_it(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let _worker = Postrider::ready_worker(build, &redis, &[], &[]);
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let hostile = Hostile::start(Behaviour::AnswerAndClose(half.into()), None);
    let url = format!("http://127.0.0.1:{}/", hostile.port());
    let job_id = queue.enqueue(&[("url", url.as_str()), ("result_ttl_ms", "60000")]);
    queue.wait_until_drained(DEADLINE);
    let result = queue.result(&job_id).expect("it is asked for");
    let result: serde_json::Value = serde_json::from_str(&result).expect("a result is JSON");
    assert_eq!(
        (result["outcome"].as_str(), result["body"].as_str(), result["truncated"].as_bool()),
        (Some("succeeded"), Some("half"), Some(true)),
        "{result}"
    );
}

fn no_result_is_kept_for_longer_than_seven_days(build: Build) {
    const WEEK: i64 = 7 * 24 * 3600 * 1000;
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    for ttl in [WEEK + 1, u32::MAX.into()] {
        let job_id = queue.enqueue(&[("url", sink.url("/ok")), ("result_ttl_ms", ttl.to_string())]);
        queue.wait_until_drained(DEADLINE);
        let dead = queue.dead();
        let error = dead.last().and_then(|letter| letter.field("_error"));
        assert_eq!(error.as_deref(), Some("field `result_ttl_ms` is more than seven days"));
        let left = world.redis.command(&["PTTL", &queue.key(&format!("result:{job_id}"))]).integer();
        assert!((1..=WEEK).contains(&left), "{ttl}: {left}");
    }
}
