//! Changes of jobs and dead letters.

use e2e::queue::Queue;
use e2e::world::World;
use serde_json::{Value, json};

use super::{BUILD, Console, JSON, NOWHERE};

#[test]
fn a_job_is_cancelled_or_runs_now() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let queue = world.queue();
    queue.schedule("7-0", &[("url", NOWHERE)]);
    let ready = queue.enqueue(&[("url", NOWHERE)]);
    let post = |path: &str| console.call("POST", path, &[], "");
    assert_eq!(
        post("/v1/queues/default/jobs/7-0/run-now"),
        (200, json!({"job_id": "7-0", "outcome": "ready"}))
    );
    assert_eq!(queue.depth(), 2);
    console.refuses(
        ("POST", &format!("/v1/queues/default/jobs/{ready}/run-now"), &[], ""),
        409,
        "it is ready",
    );
    let (status, answer) = post(&format!("/v1/queues/default/jobs/{ready}/cancel"));
    assert_eq!((status, &answer["outcome"]), (200, &json!("cancelled")));
    assert_eq!(queue.dead()[0].reason(), "cancelled");
    let gone = format!("/v1/queues/default/jobs/{ready}/cancel");
    console.refuses(("POST", &gone, &[], ""), 404, "no job");
}

#[test]
fn dead_letters_are_listed_by_pages() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let (queue, other) = (world.queue(), Queue::new(&world.redis, "other"));
    for number in 0..7 {
        queue.dead_letter(&format!("{number}-0"), "attempts", NOWHERE);
    }
    other.dead_letter("9-0", "expired", "http://h.test/x");
    let mut ids: Vec<Value> = Vec::new();
    let mut path = "/v1/dead?limit=3".to_owned();
    for _ in 0..10 {
        let (status, page) = console.get(&path);
        assert_eq!(status, 200, "{page}");
        let dead = page["dead"].as_array().expect("a list");
        assert!(dead.len() <= 3);
        ids.extend(dead.iter().map(|letter| letter["job_id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/dead?limit=3&cursor={next}");
    }
    let expected: Vec<Value> =
        (0..7).rev().map(|number| json!(format!("{number}-0"))).chain([json!("9-0")]).collect();
    assert_eq!(ids, expected, "the newest first, queue by queue, each once");
    let (_, page) = console.get("/v1/dead?reason=expired&host=h.test");
    assert_eq!((page["dead"].as_array().map(Vec::len), &page["next"]), (Some(1), &Value::Null));
    console.refuses(("GET", "/v1/dead?cursor=x", &[], ""), 400, "`cursor`");
    console.refuses(("GET", "/v1/dead?reason=no", &[], ""), 400, "write one of");
}

#[test]
fn dead_letters_are_replayed_or_purged() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let queue = world.queue();
    for number in 0..5 {
        queue.dead_letter(&format!("{number}-0"), "attempts", NOWHERE);
    }
    queue.dead_letter("9-0", "expired", NOWHERE);
    console.refuses(("POST", "/v1/dead/replay", &[JSON], "{}"), 422, "without a selection");
    console.refuses(("POST", "/v1/dead/replay", &[JSON], r#"{"al":true}"#), 422, "unknown field `al`");
    let (_, answer) = console.post("/v1/dead/replay", &json!({"ids": ["1-0", "77-0"]}));
    assert_eq!(
        (&answer["replayed"][0]["replay_of"], answer["replayed"].as_array().map(Vec::len)),
        (&json!("1-0"), Some(1))
    );
    let (_, answer) =
        console.post("/v1/dead/replay", &json!({"conditions": {"reason": "attempts", "limit": 3}}));
    assert_eq!((answer["replayed"].as_array().map(Vec::len), &answer["more"]), (Some(3), &json!(true)));
    assert_eq!((queue.depth(), queue.dead().len()), (4, 2));
    let (_, answer) = console.post("/v1/dead/purge", &json!({"all": true}));
    assert_eq!(answer, json!({"purged": 2, "more": false}));
    assert_eq!(queue.dead().len(), 0);
}
