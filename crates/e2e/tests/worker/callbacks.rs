//! Callbacks: each end of a job that has one makes one more job, which reports it.

use e2e::process::Build;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;
use serde_json::{Value, json};

e2e::in_both_builds!(
    each_end_is_reported_by_the_callback_for_it,
    a_callback_reports_the_kept_part_of_the_response_and_no_secret,
    a_callback_has_the_same_promise_as_any_job,
    a_cancelled_job_is_reported,
    a_replay_reports_again_and_a_purge_and_a_malformed_job_never,
);

/// The bodies of the callbacks at a path, which have all the same form.
pub(super) fn reports(sink: &Sink, path: &str, count: usize) -> Vec<Value> {
    let requests = sink.wait_for_path(path, count, DEADLINE);
    assert_eq!(requests.len(), count, "{path}");
    let report = |request: &e2e::sink::SinkRequest| {
        let body: Value = serde_json::from_slice(&request.body).expect("a callback is JSON");
        let id = body["job_id"].as_str().expect("a job id").to_owned();
        assert_eq!(request.header("idempotency-key"), Some(&*format!("{id}-callback")));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!((request.method.as_str(), body["queue"].as_str()), ("POST", Some("default")));
        let (enqueued, ended) = (body["enqueued_at"].as_u64(), body["ended_at"].as_u64());
        assert!(enqueued.is_some() && enqueued <= ended, "{body}");
        body
    };
    requests.iter().map(report).collect()
}

/// A name, the URL of a job, its further fields, its reason if it dies, and how many attempts it has.
type End<'a> = (&'a str, String, &'a [(&'a str, &'a str)], Option<&'a str>, u64);

fn each_end_is_reported_by_the_callback_for_it(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let config = TextFile::new("[retry.default]\nwaits = [\"1ms\"]\n");
    let _worker = world.worker(&["--config", config.path()]);
    let refused = "http://10.0.0.1/ok?job".to_owned();
    let past = "1795396101000".to_owned();
    let cases: [End<'_>; 5] = [
        ("ok", sink.url("/ok?job"), &[], None, 1),
        ("gone", sink.url("/status/410?job"), &[], Some("final_status"), 1),
        ("attempts", sink.url("/status/503?job"), &[("max_attempts", "2")], Some("attempts"), 2),
        ("expired", sink.url("/ok?job"), &[("expires_at", &past)], Some("expired"), 0),
        ("refused", refused, &[], Some("refused"), 0),
    ];
    for (name, url, more, _, _) in &cases {
        let (success, failure) = (sink.url(&format!("/done/{name}")), sink.url(&format!("/failed/{name}")));
        let own =
            [("url", url.as_str()), ("label", name), ("on_success", &success), ("on_failure", &failure)];
        queue.enqueue(&[&own[..], more].concat());
    }
    // A job that ends otherwise than its only callback is for.
    queue.enqueue(&[("url", sink.url("/ok?job")), ("on_failure", sink.url("/never"))]);
    queue.enqueue(&[("url", sink.url("/status/410?job")), ("on_success", sink.url("/never"))]);
    for (name, _, _, reason, attempts) in &cases {
        let path = if reason.is_some() { format!("/failed/{name}") } else { format!("/done/{name}") };
        let report = &reports(sink, &path, 1)[0];
        let outcome = if reason.is_some() { "dead" } else { "succeeded" };
        assert_eq!((report["outcome"].as_str(), report["reason"].as_str()), (Some(outcome), *reason));
        assert_eq!((&report["attempts"], &report["label"]), (&json!(attempts), &json!(name)), "{report}");
        let history = report["history"].as_array().map_or(0, Vec::len);
        assert!(history as u64 >= *attempts, "{report}");
    }
    queue.wait_until_drained(DEADLINE);
    let other = |request: &e2e::sink::SinkRequest| request.path.starts_with("/never");
    assert!(!sink.requests().iter().any(other));
    let callbacks = sink.requests().iter().filter(|request| !request.path.contains("?job")).count();
    assert_eq!(callbacks, cases.len(), "one callback for each");
    let dead = queue.dead();
    let with_callback: Vec<_> = dead.iter().filter_map(|letter| letter.field("_callback")).collect();
    let expected = dead.iter().filter(|letter| letter.field("on_failure").is_some());
    assert!(expected.clone().count() == 4 && with_callback.len() == 4, "{dead:?}");
    for letter in expected {
        let job_id = letter.field("_job_id").expect("a job id");
        assert_eq!(letter.field("_callback"), Some(format!("{job_id}-callback")));
    }
}

fn a_callback_reports_the_kept_part_of_the_response_and_no_secret(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let config = TextFile::new("[results]\nheaders = [\"x-shown\"]\nmax_body = 65536\n");
    let _worker = world.worker(&["--config", config.path()]);
    let callback = json!({
        "url": sink.url("/done"), "method": "PUT", "headers": {"x-tenant": "a", "authorization": "Bearer mine"},
    });
    let long = "x".repeat(60_000);
    let job = [
        ("url", sink.url("/reply?key=hunter2")),
        ("headers", r#"{"authorization":"hunter2","x-api-key":"hunter2"}"#.to_owned()),
        ("body", format!("201\nx-shown: a\nset-cookie: hunter2\n\nthe answer {long}")),
        ("on_success", callback.to_string()),
    ];
    queue.enqueue(&job);
    let request = &sink.wait_for_path("/done", 1, DEADLINE)[0];
    assert_eq!((request.method.as_str(), request.header("x-tenant")), ("PUT", Some("a")));
    assert_eq!(request.header("authorization"), Some("Bearer mine"));
    let text = String::from_utf8_lossy(&request.body).into_owned();
    assert!(!text.contains("hunter2") && !text.contains("Bearer"), "{text}");
    assert!((24 << 10..=32 << 10).contains(&text.len()), "{} bytes", text.len());
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&report["status"], &report["headers"]["x-shown"]), (&json!(201), &json!("a")), "{report}");
    assert!(report["body"].as_str().is_some_and(|body| body.starts_with("the answer xxx")), "{report}");
    assert_eq!(report["truncated"], json!(true));
    queue.wait_until_drained(DEADLINE);
}

fn a_callback_has_the_same_promise_as_any_job(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let config =
        TextFile::new("[retry.default]\nwaits = [\"1ms\", \"1ms\"]\n[retry.once]\nmax_attempts = 1\n");
    let _worker = world.worker(&["--config", config.path()]);
    queue.enqueue(&[("url", sink.url("/ok")), ("on_success", sink.url("/flaky/2/again"))]);
    assert_eq!(reports(sink, "/flaky/2/again", 3).len(), 3, "it is repeated");
    let dying = json!({"url": sink.url("/status/503?dying"), "retry": "once", "flow": "reports"});
    let job_id = queue.enqueue(&[("url", sink.url("/ok")), ("on_success", dying.to_string())]);
    let letter = eventually("a dead letter", DEADLINE, || queue.dead().pop());
    assert_eq!(letter.field("_callback_of"), Some(job_id.clone()));
    assert_eq!(letter.field("_job_id"), Some(format!("{job_id}-callback")));
    assert_eq!((letter.field("flow"), letter.reason()), (Some("reports".to_owned()), "attempts".to_owned()));
    let replayed = world.run(&["dead", "replay", &format!("{job_id}-callback")]);
    assert_eq!(replayed.code(), 0, "{replayed:?}");
    let requests = sink.wait_for_path("/status/503?dying", 2, DEADLINE);
    assert_eq!(requests[0].body, requests[1].body);
    let again = eventually("it dies again", DEADLINE, || queue.dead().pop());
    assert_eq!(again.field("_callback_of"), Some(job_id), "a replay knows what it reports");
    queue.wait_until_drained(DEADLINE);
}

fn a_cancelled_job_is_reported(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let to = |name: &str| sink.url(&format!("/failed/{name}"));
    // A long value: lists truncate it.
    let headers = json!({"x-long": "y".repeat(4000)});
    let ready = json!({"url": to("ready"), "headers": headers}).to_string();
    let ready = queue.enqueue(&[("url", sink.url("/ok?ready").as_str()), ("on_failure", &ready)]);
    queue.schedule(
        "8-0",
        &[("url", &sink.url("/ok?scheduled")), ("label", "later"), ("on_failure", &to("scheduled"))],
    );
    for id in [&ready, "later"] {
        let cancelled = world.run(&["jobs", "cancel", id]);
        assert_eq!(cancelled.code(), 0, "{cancelled:?}");
    }
    let _worker = world.worker(&[]);
    for (name, id, attempts) in [("ready", ready.as_str(), 0), ("scheduled", "8-0", 1)] {
        let report = &reports(sink, &format!("/failed/{name}"), 1)[0];
        assert_eq!((&report["job_id"], &report["reason"]), (&json!(id), &json!("cancelled")), "{report}");
        assert_eq!((&report["outcome"], &report["attempts"]), (&json!("dead"), &json!(attempts)), "{report}");
    }
    queue.wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), 2, "no cancelled job is sent");
    assert!(queue.dead().iter().all(|letter| letter.field("_callback").is_some()));
}

fn a_replay_reports_again_and_a_purge_and_a_malformed_job_never(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let worker = world.worker(&[]);
    let job_id = queue.enqueue(&[("url", sink.url("/status/410")), ("on_failure", sink.url("/failed"))]);
    // Both are wrong: one itself, the other in its callback.
    queue.enqueue(&[("url", "nowhere"), ("on_failure", &*sink.url("/failed"))]);
    queue.enqueue(&[
        ("url", &*sink.url("/ok")),
        ("on_failure", &*sink.url("/failed")),
        ("on_success", "nowhere"),
    ]);
    assert_eq!(reports(sink, "/failed", 1)[0]["job_id"], json!(job_id));
    let rejected =
        eventually("both are rejected", DEADLINE, || Some(queue.rejected()).filter(|all| all.len() == 2));
    let errors: Vec<_> = rejected.iter().filter_map(|entry| entry.field("_error")).collect();
    assert!(
        errors.iter().any(|error| error.starts_with("field `on_success`: `url` must be absolute")),
        "{errors:?}"
    );
    assert_eq!(world.run(&["dead", "replay", &job_id]).code(), 0);
    let second = &reports(sink, "/failed", 2)[1];
    assert_eq!(second["replay_of"], json!(job_id), "{second}");
    assert_ne!(second["job_id"], json!(job_id));
    queue.wait_until_drained(DEADLINE);
    assert_eq!(world.run(&["dead", "purge", "--all", "--yes"]).code(), 0);
    assert_eq!((queue.dead().len(), queue.rejected().len()), (0, 0));
    queue.enqueue(&[("url", sink.url("/ok?last"))]);
    sink.wait_for_path("/ok?last", 1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(sink.requests_to("/failed").len(), 2, "a purge calls nobody");
    drop(worker);
}
