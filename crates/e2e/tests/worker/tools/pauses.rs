//! Tests of the commands that pause and resume queues and flows.

use e2e::process::{Build, Output};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::scripts::CONTROL;
use e2e::wait::{DEADLINE, eventually, eventually_or};
use e2e::world::World;
use serde_json::{Value, json};

use super::{NOWHERE, document, lines, run};

e2e::in_both_builds!(
    a_pause_of_a_queue_is_shown_everywhere,
    a_pause_of_a_flow_is_shown_everywhere,
    workers_follow_the_commands,
);

#[track_caller]
fn ends(output: &Output, code: i32, part: &str) {
    let text = format!("{}{}", output.stdout, output.stderr);
    assert!(output.code() == code && text.contains(part), "{part:?}: {output:?}");
}

fn why_of(build: Build, redis: &RedisServer, job_id: &str) -> String {
    let (_, shown) = document(build, redis, &["jobs", "show", job_id]);
    shown["jobs"][0]["why"].as_str().unwrap_or_default().to_owned()
}

fn a_pause_of_a_queue_is_shown_everywhere(build: Build) {
    let redis = RedisServer::start();
    let tool = |arguments: &[&str]| run(build, &redis, arguments);
    let first = tool(&["queues", "pause", "mail"]);
    ends(&first, 0, "no job has been enqueued in mail in this Redis: it is paused before its first job");
    ends(&first, 0, "mail: paused until it is resumed");
    assert!(!first.stderr.contains("did you mean"), "the pause itself is no other queue: {first:?}");
    let rows = lines(build, &redis, &["queues"]);
    assert_eq!((&rows[0]["queue"], &rows[0]["paused"]["until"]), (&json!("mail"), &Value::Null), "{rows:?}");
    let job_id = Queue::new(&redis, "mail").enqueue(&[("url", NOWHERE)]);
    let (code, again) =
        document(build, &redis, &["queues", "pause", "mail", "--until", "2h", "--why", "a move"]);
    assert_eq!((code, &again["was_paused"], &again["paused"]["why"]), (0, &json!(true), &json!("a move")));
    assert!(again["paused"]["until"].is_u64(), "{again}");
    ends(&tool(&["queues"]), 0, "mail: paused for ");
    ends(&tool(&["queues"]), 0, "left): a move");
    let row = &lines(build, &redis, &["queues", "--queue", "mail"])[0]["paused"];
    assert!(row["since"].as_u64() < row["until"].as_u64() && row["by"].as_str() >= Some("cli"), "{row}");
    assert!(why_of(build, &redis, &job_id).contains("its queue is paused for "));
    ends(&tool(&["doctor"]), 0, "mail: the queue is paused for ");
    ends(
        &tool(&["queues", "pause", "mail"]),
        0,
        "mail: was paused already, and is now paused until it is resumed",
    );
    let (_, found) = document(build, &redis, &["doctor"]);
    let is_warned = |finding: &Value| finding["check"] == "paused" && finding["level"] == "warn";
    assert!(found["findings"].as_array().is_some_and(|all| all.iter().any(is_warned)), "{found}");
    for (until, code, part) in [
        ("soon", 2, "write a duration"),
        ("2020-01-01T00:00:00Z", 2, "is over"),
        ("2099-01-01T00:00:00+01:00", 0, "until 2098-12-31T23:00:00.000Z"),
    ] {
        ends(&tool(&["queues", "pause", "mail", "--until", until]), code, part);
    }
    ends(&tool(&["queues", "pause", "a b"]), 2, "a queue's name must be");
    ends(&tool(&["queues", "resume", "mail"]), 0, "mail: resumed");
    ends(&tool(&["queues", "resume", "mail"]), 0, "mail: was not paused");
    ends(&tool(&["queues", "resume", "mial"]), 0, "did you mean mail?");
    assert_eq!(redis.command(&["EXISTS", CONTROL]).integer(), 0);
    assert_eq!(why_of(build, &redis, &job_id), "");
    let changes = lines(build, &redis, &["audit"]);
    let shown: Vec<_> = changes.iter().map(|row| format!("{} {}", row["change"], row["queue"])).collect();
    assert_eq!(shown.len(), 5, "{changes:?}");
    assert_eq!(shown[0], r#""resume" "mail""#);
    assert!(
        changes[3]["subject"].as_str().is_some_and(|subject| subject.ends_with(": a move")),
        "{changes:?}"
    );
}

fn a_pause_of_a_flow_is_shown_everywhere(build: Build) {
    let redis = RedisServer::start();
    let tool = |arguments: &[&str]| run(build, &redis, arguments);
    let queue = Queue::new(&redis, "mail");
    queue.postpone("91f7fc80c958e052", "3-0", &[("url", NOWHERE)]);
    ends(
        &tool(&["flows", "pause", "127.0.0.1:9", "--why", "a move"]),
        0,
        "127.0.0.1:9: paused until it is resumed",
    );
    let flow = &lines(build, &redis, &["flows"])[0];
    assert_eq!((&flow["why"], &flow["held"]), (&json!("paused"), &json!(1)), "{flow}");
    assert_eq!((&flow["flow"], &flow["paused"]["why"]), (&json!("127.0.0.1:9"), &json!("a move")));
    assert!(why_of(build, &redis, "3-0").starts_with("its flow is paused for "));
    ends(&tool(&["doctor"]), 0, "postrider flows resume '127.0.0.1:9'");
    // A host has two destinations, and may be a key.
    let rows = lines(build, &redis, &["flows", "pause", "h.test", "--until", "90s"]);
    let names: Vec<_> = rows.iter().map(|row| row["flow"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["h.test:443", "h.test:80", "h.test"]);
    assert_eq!(lines(build, &redis, &["flows"]).len(), 4);
    ends(&tool(&["flows"]), 0, "in 1m");
    ends(&tool(&["flows", "resume", "h.test"]), 0, "h.test:80: resumed");
    ends(&tool(&["flows", "resume", "h.test"]), 0, "h.test:80: was not paused");
    ends(&tool(&["flows", "pause", ""]), 2, "write 1 to 256 bytes");
    ends(&tool(&["flows", "resume", "91f7fc80c958e052"]), 0, "(91f7fc80c958e052): resumed");
    assert_eq!(lines(build, &redis, &["flows"])[0]["why"], "window");
}

fn workers_follow_the_commands(build: Build) {
    let world = World::new(build);
    let (redis, sink, queue) = (&world.redis, &world.sink, world.queue());
    let mut worker = world.worker(&[]);
    let address = sink.address().to_string();
    assert_eq!(run(build, redis, &["flows", "pause", &address]).code(), 0);
    worker.wait_for_log("the number of paused flows has changed", DEADLINE);
    let url = sink.url("/ok");
    let sent = run(build, redis, &["send", &url, "--wait", "--wait-timeout", "2s"]);
    ends(&sent, 3, "its flow is paused for ");
    eventually_or("a held job", DEADLINE, || if queue.held() == 1 { Ok(()) } else { Err(queue.held()) });
    assert_eq!(run(build, redis, &["queues", "pause", "default"]).code(), 0);
    assert_eq!(run(build, redis, &["flows", "resume", &address]).code(), 0);
    worker.wait_for_log("the queue is paused", DEADLINE);
    eventually("the blocking read has ended", DEADLINE, || (redis.blocked_reads() == 0).then_some(()));
    let sent = run(build, redis, &["send", &url, "--wait", "--wait-timeout", "1s"]);
    ends(&sent, 3, "its queue is paused for ");
    assert_eq!((sink.requests().len(), queue.held()), (0, 1));
    assert_eq!(run(build, redis, &["queues", "resume", "default"]).code(), 0);
    sink.wait_for(2, DEADLINE);
    eventually("an empty queue", DEADLINE, || queue.drained().ok());
}
