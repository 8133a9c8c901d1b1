//! Enqueueing jobs.

use e2e::wait::DEADLINE;
use e2e::world::World;
use serde_json::json;

use super::{BUILD, Console, JSON, NDJSON, NOWHERE};

const JOBS: &str = "/v1/queues/default/jobs";

#[test]
fn the_answer_can_be_the_outcome() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let _worker = world.worker(&[]);
    let job = json!({"url": world.sink.url("/ok"), "body": {"order": 7}, "headers": {"x-own": "1"}, "label": "order:7"});
    let (status, answer) = console.post(&format!("{JOBS}?wait=30s"), &job);
    assert_eq!(
        (status, &answer["outcome"], &answer["result"]["status"]),
        (201, &json!("succeeded"), &json!(200))
    );
    let request = &world.sink.requests_to("/ok")[0];
    assert_eq!((request.header("x-own"), request.header("postrider-label")), (Some("1"), Some("order:7")));
    assert_eq!(&request.body[..], br#"{"order":7}"#);
    let (status, answer) =
        console.post(&format!("{JOBS}?wait=30s"), &json!({"url": world.sink.url("/status/404")}));
    assert_eq!(
        (status, &answer["outcome"], &answer["result"]["reason"]),
        (201, &json!("dead"), &json!("final_status"))
    );
    let (status, answer) =
        console.post(&format!("{JOBS}?wait=0s"), &json!({"url": NOWHERE, "delay_ms": 60_000}));
    assert_eq!((status, &answer["outcome"]), (201, &json!("waiting")));
}

#[test]
fn an_idempotency_key_enqueues_one_job() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let body = json!({"url": NOWHERE}).to_string();
    let send = |key: &str, body: &str| console.call("POST", JOBS, &[JSON, ("idempotency-key", key)], body);
    let (first, second) = (send("a", &body), send("a", &body));
    assert_eq!((first.0, second.0, &second.1["known"]), (201, 200, &json!(true)));
    assert_eq!(first.1["job_id"], second.1["job_id"]);
    let own = json!({"url": NOWHERE, "key": "a"}).to_string();
    assert_eq!(console.call("POST", JOBS, &[JSON], &own).1["job_id"], first.1["job_id"], "as a member");
    assert_eq!(send("b", &body).0, 201);
    assert_eq!(world.queue().depth(), 2);
    console.refuses(("POST", JOBS, &[JSON, ("idempotency-key", "b")], &own), 400, "has another `key`");
}

#[test]
fn many_jobs_are_enqueued_or_none() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let line = |number: usize| json!({"url": NOWHERE, "label": format!("l{number}")}).to_string();
    let lines = |count: usize| (0..count).map(line).collect::<Vec<_>>().join("\n");
    let (status, answer) = console.call("POST", JOBS, &[NDJSON], &lines(1_500));
    assert_eq!((status, &answer["enqueued"]), (201, &json!(1_500)));
    assert_eq!(answer["job_ids"].as_array().map(Vec::len), Some(1_500));
    assert_eq!(world.queue().depth(), 1_500);
    let wrong = format!("{}\n\n{{\"url\":\"nowhere\"}}\n", lines(3));
    console.refuses(("POST", JOBS, &[NDJSON], &wrong), 422, "line 5: field `url` must be absolute");
    assert_eq!(world.queue().depth(), 1_500);
    let keyed = format!("{{\"url\":\"{NOWHERE}\",\"key\":\"k\"}}\n").repeat(2) + &line(0);
    let (_, answer) = console.call("POST", JOBS, &[NDJSON], &keyed);
    assert_eq!((&answer["enqueued"], &answer["known"]), (&json!(2), &json!(1)));
    assert_eq!(answer["job_ids"][0], answer["job_ids"][1]);
}

#[test]
fn a_wrong_job_is_refused_with_the_cause() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let post = |body: &'static str| ("POST", JOBS, &[JSON][..], body);
    console.refuses(post(""), 422, "it is not a JSON object");
    console.refuses(post("{"), 422, "does not end");
    console.refuses(post("{}"), 422, "field `url` is missing");
    console.refuses(post(r#"{"urk":"http://h/"}"#), 422, "did you mean url?");
    console.refuses(post(r#"{"url":"http://h/","_attempt":1}"#), 422, "belong to the worker");
    console.refuses(("POST", JOBS, &[], "{}"), 415, "application/json");
    console.refuses(("POST", JOBS, &[("content-type", "text/plain")], "{}"), 415, "application/x-ndjson");
    console.refuses(("POST", "/v1/queues/a%20b/jobs", &[JSON], "{}"), 400, "");
    console.refuses(("POST", "/v1/queues/default/jobs?wait=9d", &[JSON], "{}"), 400, "at most 60s");
    console.refuses(("POST", "/v1/queues/default/jobs?wiat=1s", &[JSON], "{}"), 400, "parameter `wiat`");
    console.refuses(
        ("POST", "/v1/queues/default/jobs?wait=1s", &[NDJSON], "{}"),
        400,
        "`wait` is for one job",
    );
    console.refuses(("POST", JOBS, &[NDJSON], "\n \n"), 422, "no job");
    console.refuses(("POST", JOBS, &[JSON, ("content-length", "99999999")], ""), 413, "at most");
    let job = json!({"url": NOWHERE}).to_string();
    assert_eq!(console.call("POST", &format!("{JOBS}?cap=1"), &[JSON], &job).0, 201);
    console.refuses(("POST", &format!("{JOBS}?cap=1"), &[JSON], &job), 429, "the queue is full");
    assert_eq!(world.queue().depth(), 1);
}

/// In a build without telemetry, the job gets the context as the caller sent it.
#[test]
fn the_context_of_the_request_becomes_that_of_the_job() {
    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let body = json!({"url": world.sink.url("/ok")}).to_string();
    console.call("POST", JOBS, &[JSON, ("traceparent", TRACEPARENT), ("tracestate", "a=b")], &body);
    let _worker = world.worker(&[]);
    let request = &world.sink.wait_for(1, DEADLINE)[0];
    assert_eq!(
        (request.header("traceparent"), request.header("tracestate")),
        (Some(TRACEPARENT), Some("a=b"))
    );
}
