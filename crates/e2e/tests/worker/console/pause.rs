//! Pauses of queues and flows.

use std::io::Write;

use e2e::scripts::CONTROL;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;
use serde_json::{Value, json};

use super::access::token;
use super::sign_in::{FORM, HTML, exchange, header, status};
use super::{BUILD, Console, JSON, NOWHERE};

const PAUSE: &str = "/v1/queues/default/pause";
const RESUME: &str = "/v1/queues/default/resume";

#[test]
fn a_queue_is_paused_and_resumed() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let (status, answer) = console.call("POST", PAUSE, &[], "");
    assert_eq!(
        (status, &answer["was_paused"], &answer["paused"]["until"]),
        (200, &json!(false), &Value::Null)
    );
    assert!(answer["note"].as_str().is_some_and(|note| note.contains("before its first job")), "{answer}");
    assert_eq!(console.get("/v1/queues").1["queues"][0]["paused"]["by"], "local", "also without a job");
    let _worker = world.worker(&[]);
    world.queue().enqueue(&[("url", world.sink.url("/ok"))]);
    let (status, answer) = console.post(PAUSE, &json!({"until": "1h", "why": "a move"}));
    assert_eq!(
        (status, &answer["was_paused"], &answer["note"]),
        (200, &json!(true), &Value::Null),
        "{answer}"
    );
    let (_, shards) = console.get("/v1/queues/default");
    let paused = &shards[0]["paused"];
    assert_eq!((&paused["why"], &shards[0]["ready"]), (&json!("a move"), &json!(1)), "{shards}");
    assert!(paused["since"].as_u64() < paused["until"].as_u64(), "{paused}");
    assert_eq!(console.call("POST", RESUME, &[], "").1["was_paused"], true);
    world.sink.wait_for(1, DEADLINE);
    assert_eq!(
        console.call("POST", RESUME, &[], ""),
        (200, json!({"queue": "default", "paused": null, "was_paused": false, "note": null}))
    );
    let (_, audit) = console.get("/v1/audit");
    let changes: Vec<_> =
        audit["changes"].as_array().expect("a list").iter().map(|row| row["change"].clone()).collect();
    assert_eq!(changes, ["resume", "pause", "pause"]);
    assert!(
        audit["changes"][1]["subject"].as_str().is_some_and(|subject| subject.ends_with(": a move")),
        "{audit}"
    );
}

/// Its counts, and the page.
fn shown(console: &Console, queue: &str) -> (Value, String) {
    let (code, mut shards) = console.get(&format!("/v1/queues/{queue}"));
    assert_eq!(code, 200, "{shards}");
    for path in ["jobs?queue=", "dead?queue="] {
        assert_eq!(console.get(&format!("/v1/{path}{queue}")).0, 200, "{path}");
    }
    assert_eq!(console.get(&format!("/v1/queues/{queue}/counts")).0, 200);
    let (_, all) = console.get("/v1/queues");
    assert!(all["queues"].as_array().is_some_and(|all| all.contains(&shards[0])), "{all} {shards}");
    let page = exchange(console, ("GET", &format!("/queues/{queue}")), &[HTML], "");
    // Where a search for queues takes long, the overview shows the last one for some seconds.
    eventually("the overview lists it", DEADLINE, || {
        let overview = exchange(console, ("GET", "/"), &[HTML], "");
        overview.contains(&format!("href=\"/queues/{queue}\"")).then_some(())
    });
    (shards[0].take(), page)
}

#[test]
fn a_queue_without_a_job_is_shown_while_it_is_paused() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    console.refuses(("GET", "/v1/queues/default", &[], ""), 404, "there is no queue default");
    console.post(PAUSE, &json!({"why": "a move"}));
    let (shard, page) = shown(&console, "default");
    let expected = [&json!("default"), &json!(0), &json!(0), &json!("a move")];
    assert_eq!([&shard["queue"], &shard["ready"], &shard["dead"], &shard["paused"]["why"]], expected);
    assert!(page.contains("Paused until it is resumed, by local: a move"), "{page}");
    let resumed = exchange(&console, ("POST", "/queues/default/resume"), &[FORM], "");
    assert_eq!((status(&resumed), header(&resumed, "location")), ("303", "/"), "it has no page any more");
    console.refuses(("GET", "/v1/queues/default", &[], ""), 404, "there is no queue default");
    // The same for one that has only a number of shards.
    assert_eq!(world.run(&["queues", "shards", "mail", "2"]).code(), 0);
    let (shard, page) = shown(&console, "mail");
    assert_eq!((&shard["queue"], &shard["paused"]), (&json!("mail"), &Value::Null));
    assert!(page.contains("mail/1"), "{page}");
}

#[test]
fn a_flow_without_a_job_is_shown_while_it_is_paused() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    console.post("/v1/flows/pause", &json!({"flow": "acme.example:443", "why": "a move"}));
    let (_, flows) = console.get("/v1/flows?flow=acme.example");
    assert_eq!((&flows["flows"][0]["why"], &flows["flows"][0]["held"]), (&json!("paused"), &json!(0)));
    for path in ["/destinations", "/destination?name=acme.example%3A443"] {
        let page = exchange(&console, ("GET", path), &[HTML], "");
        assert!(page.contains("acme.example:443") && page.to_lowercase().contains("paused"), "{page}");
    }
}

#[test]
fn a_flow_is_paused_and_resumed() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    // The key of a flow may contain anything.
    let key = "tenant/7: a b";
    let (status, answer) =
        console.post("/v1/flows/pause", &json!({"flow": key, "until": "2099-01-01T00:00:00Z"}));
    assert_eq!(
        (status, &answer["flows"][0]["flow"], answer["flows"].as_array().map(Vec::len)),
        (200, &json!(key), Some(1))
    );
    let id = answer["flows"][0]["id"].clone();
    let _worker = world.worker(&[]);
    let job = world.queue().enqueue(&[("url", world.sink.url("/ok").as_str()), ("flow", key)]);
    let flow = eventually("a held job", DEADLINE, || {
        let (_, flows) = console.get("/v1/flows");
        flows["flows"].as_array()?.iter().find(|flow| flow["held"] == 1).cloned()
    });
    assert_eq!(
        (&flow["why"], &flow["id"], &flow["paused"]["until"]),
        (&json!("paused"), &id, &json!(4_070_908_800_000_u64))
    );
    let (_, found) = console.get(&format!("/v1/jobs/{job}"));
    assert!(
        found["jobs"][0]["why"].as_str().is_some_and(|why| why.contains("its flow is paused")),
        "{found}"
    );
    let (_, answer) = console.post("/v1/flows/resume", &json!({ "flow": key }));
    assert_eq!(answer["flows"][0]["was_paused"], true);
    world.sink.wait_for(1, DEADLINE);
    assert_eq!(world.redis.command(&["EXISTS", CONTROL]).integer(), 0);
}

#[test]
fn a_wrong_pause_is_refused_with_the_cause() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let refuses = |path: &str, body: &str, status: u16, part: &str| {
        console.refuses(("POST", path, &[JSON], body), status, part);
    };
    refuses(PAUSE, r#"{"until":"soon"}"#, 422, "member `until`");
    refuses(PAUSE, r#"{"until":"2020-01-01T00:00:00Z"}"#, 422, "is over");
    refuses(PAUSE, r#"{"untill":"1h"}"#, 422, "unknown field");
    refuses(PAUSE, &json!({"why": "x".repeat(300)}).to_string(), 422, "write 1 to 256 bytes");
    refuses("/v1/queues/a%20b/pause", "{}", 400, "a queue's name");
    refuses("/v1/flows/pause", "{}", 422, "missing field `flow`");
    refuses("/v1/flows/pause", r#"{"flow":""}"#, 422, "write 1 to 256 bytes");
    console.refuses(("POST", PAUSE, &[], "{}"), 415, "application/json");
    assert_eq!(world.redis.command(&["EXISTS", CONTROL]).integer(), 0);
    for number in 0..1_000 {
        world.redis.command(&["HSET", CONTROL, &format!("q:{number}"), "0 0 {}"]);
    }
    refuses(PAUSE, "{}", 409, "1000 queues and flows are paused already");
}

#[test]
fn a_pause_needs_the_right_to_operate() {
    let world = World::new(BUILD);
    let (producer, entry) = token("producer", "enqueue,read");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{entry}").expect("the file is written");
    let console = Console::with(&world, &["--tokens", file.path().to_str().expect("a path")]);
    let authorization = format!("Bearer {producer}");
    for path in [PAUSE, RESUME, "/v1/flows/pause", "/v1/flows/resume"] {
        let body = json!({"flow": NOWHERE}).to_string();
        console.refuses(("POST", path, &[JSON, ("authorization", &authorization)], &body), 403, "`operate`");
    }
}
