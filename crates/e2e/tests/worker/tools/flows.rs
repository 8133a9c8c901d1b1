//! Tests of the commands that inspect flows, and of those that inspect held jobs and their queues.

use e2e::process::{Build, Postrider};
use e2e::queue::{DeadLetter, Queue};
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::eventually;
use e2e::world::World;
use serde_json::json;

use super::{DEADLINE, NOWHERE, document, lines, outcome, run};

e2e::in_both_builds!(
    held_jobs_are_counted_and_found,
    a_held_job_is_cancelled_once,
    a_held_job_goes_past_its_flow,
    flows_that_hold_jobs_are_shown,
    a_job_is_sent_into_a_flow,
);

/// The ids of the flows `orders` and `127.0.0.1:9`.
const ORDERS: &str = "9658403816409e66";
const NOWHERE_FLOW: &str = "91f7fc80c958e052";

fn held_jobs_are_counted_and_found(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "mail");
    queue.schedule("1-0", &[("url", NOWHERE)]);
    queue.postpone(ORDERS, "2-0", &[("url", NOWHERE), ("flow", "orders"), ("label", "order-2")]);
    queue.postpone(NOWHERE_FLOW, "3-0", &[("url", NOWHERE), ("label", "order-3")]);
    queue.postpone(NOWHERE_FLOW, "4-0", &[("url", NOWHERE)]);
    let row = &lines(build, &redis, &["queues"])[0];
    assert_eq!((&row["held"], &row["scheduled"], &row["waiting"]), (&json!(3), &json!(1), &json!(4)));
    let held = lines(build, &redis, &["jobs", "list", "--state", "held"]);
    let mut found: Vec<_> =
        held.iter().map(|job| format!("{} {} {}", job["job_id"], job["state"], job["held_for"])).collect();
    found.sort();
    let expected = [("2-0", "orders"), ("3-0", "127.0.0.1:9"), ("4-0", "127.0.0.1:9")];
    assert_eq!(found, expected.map(|(job_id, flow)| format!(r#""{job_id}" "held" "{flow}""#)));
    assert_eq!(lines(build, &redis, &["jobs", "list"]).len(), 4);
    assert_eq!(lines(build, &redis, &["jobs", "list", "--limit", "2"]).len(), 2);
    assert_eq!(lines(build, &redis, &["jobs", "list", "--state", "scheduled"]).len(), 1);
    for id in ["2-0", "order-2"] {
        let (code, answer) = document(build, &redis, &["jobs", "show", id]);
        let job = &answer["jobs"][0];
        assert_eq!(
            (code, &job["state"], &job["held_for"]),
            (0, &json!("held"), &json!("orders")),
            "{answer}"
        );
    }
    assert!(run(build, &redis, &["jobs", "show", "3-0"]).stdout.contains("held, for 127.0.0.1:9"));
}

fn a_held_job_is_cancelled_once(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    queue.postpone(ORDERS, "2-0", &[("url", NOWHERE), ("flow", "orders"), ("label", "order-2")]);
    queue.postpone(ORDERS, "3-0", &[("url", NOWHERE), ("flow", "orders")]);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for (id, left) in [("order-2", 1), ("3-0", 0)] {
        let (code, answer) = document(build, &redis, &["jobs", "cancel", id]);
        assert_eq!((code, outcome(&answer)), (0, "cancelled"), "{answer}");
        assert_eq!(run(build, &redis, &["jobs", "cancel", id]).code(), 1);
        let set = queue.key(&format!("flow:{ORDERS}"));
        let count = |key: &str| redis.command(&["ZCARD", key]).integer();
        assert_eq!([count(&set), count(&queue.key("flows")), queue.waiting()], [left; 3]);
    }
    assert_eq!(queue.dead().iter().map(DeadLetter::reason).collect::<Vec<_>>(), ["cancelled"; 2]);
}

/// Neither breaker nor rate holds a job that `run-now` has released; the jobs behind it are still held.
fn a_held_job_goes_past_its_flow(build: Build) {
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    let url = sink.url("/ok");
    for job_id in ["2-0", "3-0"] {
        queue.postpone(ORDERS, job_id, &[("url", &url), ("flow", "orders")]);
    }
    let seconds = redis.command(&["TIME"]).array()[0].text().parse::<u64>().expect("a number");
    let minute = ((seconds + 60) * 1000).to_string();
    let shared = format!("postrider:flow:{{{ORDERS}}}");
    redis.command(&["HSET", &shared, "trips", "1", "open_until", &minute]);
    let (code, answer) = document(build, redis, &["jobs", "run-now", "3-0"]);
    assert_eq!((code, outcome(&answer)), (0, "ready"), "{answer}");
    assert_eq!((queue.depth(), queue.waiting()), (1, 1));
    assert_eq!(run(build, redis, &["jobs", "run-now", "3-0"]).code(), 1);
    let mut worker = world.worker(&[]);
    let request = &sink.wait_for(1, DEADLINE)[0];
    assert_eq!(request.header("idempotency-key"), Some("3-0"));
    assert_eq!(worker.stop().code(), Some(0));
    assert_eq!((sink.requests().len(), queue.depth(), queue.waiting()), (1, 0, 1));
}

fn flows_that_hold_jobs_are_shown(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "mail");
    assert_eq!(lines(build, &redis, &["flows"]).len(), 0);
    let _worker = Postrider::ready_worker(build, &redis, &["--queue", "mail", "--retry-base", "10ms"], &[]);
    for _ in 0..20 {
        queue.enqueue(&[("url", NOWHERE)]);
    }
    let flow = eventually("a flow that holds jobs", DEADLINE, || {
        let flows = lines(build, &redis, &["flows"]);
        flows.into_iter().find(|flow| flow["breaker"] == "open" && flow["held"].as_u64() > Some(10))
    });
    assert_eq!((&flow["flow"], &flow["queues"]["mail"]), (&json!("127.0.0.1:9"), &flow["held"]));
    assert_eq!(flow["id"], json!(NOWHERE_FLOW));
    assert!(flow["open_until"].as_u64() > flow["opened_at"].as_u64(), "{flow}");
    let table = run(build, &redis, &["flows"]).stdout;
    assert!(table.contains("127.0.0.1:9") && table.contains("breaker") && table.contains("mail"), "{table}");
    assert_eq!(lines(build, &redis, &["flows", "--queue", "other"]).len(), 0);
    let doctor = run(build, &redis, &["doctor"]).stdout;
    assert!(doctor.contains("1 destination does not answer, and"), "{doctor}");
}

fn a_job_is_sent_into_a_flow(build: Build) {
    let redis = RedisServer::start();
    let output = run(build, &redis, &["send", NOWHERE, "--flow", "orders"]);
    assert_eq!(output.code(), 0, "{output:?}");
    let (_, answer) = document(build, &redis, &["jobs", "show", output.stdout.trim()]);
    assert_eq!(answer["jobs"][0]["fields"]["flow"], "orders");
    let output = run(build, &redis, &["send", NOWHERE, "--flow", ""]);
    assert!(output.code() == 2 && output.stderr.contains("`flow`"), "{output:?}");
}

/// The log line of the breaker, `flows`, `jobs show` and `send --wait` report the same error.
#[test]
fn a_flow_and_its_jobs_report_why_they_are_held() {
    const ERROR: &str = "Connection refused";
    let build = Build::Lean;
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let config = TextFile::new("[flows.default]\nbreaker_failures = 1\nbreaker_pause = \"30s\"\n");
    let mut worker = Postrider::ready_worker(build, &redis, &["--config", config.path()], &[]);
    // One job alone does not open a breaker.
    let [job_id, ..] = [(); 3].map(|()| queue.enqueue(&[("url", NOWHERE)]));
    let line = worker.wait_for_log("the destination does not answer", DEADLINE);
    assert!(line.contains(ERROR), "{line}");
    eventually("held jobs", DEADLINE, || (queue.waiting() == 3 && queue.scheduled() == 0).then_some(()));
    let flow = &lines(build, &redis, &["flows", "127.0.0.1"])[0];
    assert_eq!(
        (&flow["why"], &flow["breaker"], &flow["held"]),
        (&json!("breaker"), &json!("open"), &json!(3))
    );
    assert!(flow["error"].as_str().is_some_and(|error| error.contains(ERROR)), "{flow}");
    let (_, shown) = document(build, &redis, &["jobs", "show", &job_id]);
    assert!(shown["jobs"][0]["why"].as_str().is_some_and(|why| why.contains(ERROR)), "{shown}");
    let sent = run(build, &redis, &["send", "POST", NOWHERE, "--wait", "--wait-timeout", "2s"]);
    assert_eq!(sent.code(), 3, "{sent:?}");
    assert!(sent.stdout.contains("held, for 127.0.0.1:9") && sent.stdout.contains(ERROR), "{sent:?}");
    let none = run(build, &redis, &["flows", "other.example"]);
    assert!(none.stderr.contains("nothing holds jobs for other.example"), "{none:?}");
}
