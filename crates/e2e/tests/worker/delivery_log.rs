//! The delivery log: what happened to jobs that are gone. Telemetry takes no part in it.

use e2e::process::Build;
use e2e::text_file::TextFile;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;
use serde_json::{Value, json};

const KEEP: &str = "[results]\nkeep = \"1d\"\n[queues.default]\n[queues.off]\nkeep = \"0s\"\n";

/// The jobs of the log that `find` finds, and its exit code.
fn found(world: &World, id: &str) -> (i32, Vec<Value>) {
    let output = world.run(&["find", id, "--json"]);
    let log = output.json()["log"].as_array().cloned().unwrap_or_default();
    (output.code(), log)
}

#[test]
fn a_delivered_job_is_found_with_its_attempts_and_their_phases_after_the_worker_is_gone() {
    let (world, config) = (World::new(Build::Lean), TextFile::new(KEEP));
    let queue = world.queue();
    let mut worker = world.worker(&["--config", config.path(), "--retry-base", "10ms"]);
    let url = world.sink.url("/flaky/1/hunter2?token=hunter2").replace("://", "://me:hunter2@");
    let headers = r#"{"x-api-key":"hunter2"}"#;
    let fields = [("url", url.as_str()), ("label", "order:4711"), ("headers", headers), ("body", "hunter2")];
    let delivered = queue.enqueue(&fields);
    let elsewhere = e2e::queue::Queue::new(&world.redis, "off");
    elsewhere.enqueue(&[("url", world.sink.url("/ok").as_str()), ("label", "order:4711")]);
    world.sink.wait_for(3, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    elsewhere.wait_until_drained(DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
    let (code, log) = found(&world, "order:4711");
    let [job] = &log[..] else { panic!("{log:?}") };
    assert_eq!((code, &job["job_id"], &job["outcome"]), (0, &json!(delivered), &json!("succeeded")));
    let port = world.sink.address().port();
    assert_eq!((&job["status"], &job["attempts"]), (&json!(200), &json!(2)));
    assert_eq!(job["host"], json!(format!("127.0.0.1:{port}")));
    let history = job["history"].as_array().expect("a list");
    let statuses: Vec<_> = history.iter().map(|attempt| attempt["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(503), Some(200)], "{history:?}");
    assert!(history.iter().all(|attempt| attempt["us"]["first_byte"].as_u64() > Some(0)), "{history:?}");
    let [enqueued, ended] = ["enqueued_at", "ended_at"].map(|name| job[name].as_u64().expect("a time"));
    // The time of an attempt is that of Redis as the worker estimates it.
    const ESTIMATE_MS: u64 = 100;
    assert!(enqueued <= history[0]["at"].as_u64().unwrap() + ESTIMATE_MS && enqueued < ended, "{job}");
    let text = world.run(&["find", &delivered]).stdout;
    assert!(text.contains("succeeded at ") && text.contains("    attempt 2: "), "{text}");
    let raw = world.redis.command(&["XRANGE", &queue.key("log"), "-", "+"]);
    assert!(!format!("{raw:?}{text}{job}").contains("hunter2"), "{raw:?}\n{text}");
}

#[test]
fn jobs_that_end_together_make_few_entries_and_each_is_found() {
    let (world, config) = (World::new(Build::Lean), TextFile::new(KEEP));
    let queue = world.queue();
    for job in 0..300 {
        let (url, label) = (world.sink.url("/ok"), format!("job-{job}"));
        queue.enqueue(&[("url", url.as_str()), ("label", &label)]);
    }
    let waiting =
        queue.enqueue(&[("url", "http://127.0.0.1:9/"), ("delay_ms", "600000"), ("label", "later")]);
    let refused = queue.enqueue(&[("url", "http://10.0.0.1/"), ("label", "refused")]);
    let _worker = world.worker(&["--config", config.path()]);
    world.sink.wait_for(300, DEADLINE);
    wait::eventually("all jobs are settled", DEADLINE, || (queue.depth() == 0).then_some(()));
    let entries = world.redis.command(&["XLEN", &queue.key("log")]).integer();
    assert!((1..=150).contains(&entries), "{entries} entries");
    let jobs = world.redis.command(&["HGET", "postrider:{default}:sizes", "log"]).text();
    assert_eq!(jobs, "301");
    for label in ["job-0", "job-150", "job-299"] {
        assert_eq!(found(&world, label).1.len(), 1, "{label}");
    }
    let dead = found(&world, &refused).1;
    assert_eq!((&dead[0]["outcome"], &dead[0]["reason"]), (&json!("dead"), &json!("refused")));
    assert_eq!(world.run(&["jobs", "cancel", "later"]).code(), 0);
    let cancelled = found(&world, &waiting).1;
    assert_eq!((&cancelled[0]["outcome"], &cancelled[0]["label"]), (&json!("cancelled"), &json!("later")));
}

#[test]
fn a_log_of_another_program_stops_no_job_and_is_named() {
    let (world, config) = (World::new(Build::Lean), TextFile::new(KEEP));
    let queue = world.queue();
    world.redis.command(&["SET", &queue.key("log"), "of another program"]);
    let mut worker = world.worker(&["--config", config.path()]);
    let delivered = queue.enqueue(&[("url", world.sink.url("/ok")), ("result_ttl_ms", "60000".to_owned())]);
    let dead = queue.enqueue(&[("url", world.sink.url("/status/404"))]);
    queue.enqueue(&[("url", world.sink.url("/ok"))]);
    queue.wait_until_drained(DEADLINE);
    let line = worker.wait_for_log("Redis refuses the delivery log", DEADLINE);
    assert!(line.contains("WRONGTYPE"), "{line}");
    let logged = worker.log().iter().filter(|line| line.contains("delivery log")).count();
    assert_eq!(logged, 1, "{}", worker.log().join("\n"));
    for id in [&delivered, &dead] {
        let output = world.run(&["find", id]);
        let named = "the key postrider:{default}:log is no stream";
        assert!(output.stdout.contains(id) && output.stderr.contains(named), "{output:?}");
    }
    let doctor = world.run(&["doctor"]);
    assert!(doctor.stdout.contains("the key postrider:{default}:log is no stream"), "{doctor:?}");
}

#[test]
fn without_a_log_find_reports_how_to_have_one() {
    let world = World::new(Build::Lean);
    let _worker = world.worker(&[]);
    world.queue().enqueue(&[("url", world.sink.url("/ok"))]);
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(world.redis.command(&["EXISTS", &world.queue().key("log")]).integer(), 0);
    let output = world.run(&["find", "order-1"]);
    assert!(output.code() == 1 && output.stderr.contains("the delivery log is off"), "{output:?}");
    let config = TextFile::new(KEEP);
    let _logging = world.worker(&["--config", config.path()]);
    let output = world.run(&["find", "order-1"]);
    assert!(output.code() == 1 && !output.stderr.contains("is off"), "{output:?}");
}
