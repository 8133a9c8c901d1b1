//! Who changed what.

use std::io::Write;

use e2e::queue::Queue;
use e2e::wait::DEADLINE;
use e2e::world::World;
use serde_json::{Value, json};

use super::access::token;
use super::{BUILD, Console, JSON, NOWHERE};

/// What the list shows of each change, the newest first.
fn changes(console: &Console) -> Vec<Value> {
    let (status, page) = console.get("/v1/audit");
    assert_eq!(status, 200, "{page}");
    let shown = |change: &Value| {
        json!([change["caller"], change["change"], change["queue"], change["subject"], change["jobs"]])
    };
    page["changes"].as_array().expect("a list").iter().map(shown).collect()
}

#[test]
fn every_change_over_the_api_is_recorded() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let (queue, other) = (world.queue(), Queue::new(&world.redis, "other"));
    assert_eq!(console.get("/v1/audit").1, json!({"changes": [], "next": null}));
    queue.schedule("7-0", &[("url", NOWHERE)]);
    let ready = queue.enqueue(&[("url", NOWHERE)]);
    for number in 0..3 {
        queue.dead_letter(&format!("{number}-0"), "attempts", NOWHERE);
    }
    other.dead_letter("9-0", "attempts", NOWHERE);
    console.call("POST", "/v1/queues/default/jobs/7-0/run-now", &[], "");
    console.call("POST", &format!("/v1/queues/default/jobs/{ready}/cancel"), &[], "");
    console.post("/v1/dead/replay", &json!({"ids": ["1-0", "77-0"]}));
    let conditions = json!({"reason": "attempts", "url_contains": "hunter2"});
    console.post("/v1/dead/purge", &json!({ "conditions": conditions }));
    console.post("/v1/dead/purge", &json!({"conditions": {"reason": "attempts"}}));
    // Nothing is changed, and nothing recorded.
    console.refuses(("POST", "/v1/queues/default/jobs/5-5/cancel", &[], ""), 404, "no job");
    assert_eq!(
        changes(&console),
        [
            json!(["local", "purge", "other", "reason: attempts", 1]),
            json!(["local", "purge", "default", "reason: attempts", 2]),
            json!(["local", "replay", "default", "ids: 1-0 77-0", 1]),
            json!(["local", "cancel", "default", ready, 1]),
            json!(["local", "run_now", "default", "7-0", 1]),
        ]
    );
    let (_, page) = console.get("/v1/audit?limit=2");
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(2));
    let (_, rest) = console.get(&format!("/v1/audit?cursor={}", page["next"].as_str().expect("a cursor")));
    assert_eq!(rest["changes"].as_array().map(Vec::len), Some(3));
    assert_eq!((&rest["changes"][0]["change"], &rest["next"]), (&json!("replay"), &Value::Null));
    console.refuses(("GET", "/v1/audit?cursor=x", &[], ""), 400, "`cursor`");
    console.refuses(("GET", "/v1/audit?limit=1001", &[], ""), 400, "write 1 to 1000");
}

#[test]
fn a_change_has_the_name_of_the_token() {
    let world = World::new(BUILD);
    let ((operator, first), (reader, second)) = (token("ops", "operate"), token("reader", "read"));
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{first}\n{second}").expect("the file is written");
    let console = Console::with(&world, &["--tokens", file.path().to_str().expect("a path")]);
    let [operator, reader] = [operator, reader].map(|token| format!("Bearer {token}"));
    world.queue().schedule("7-0", &[("url", NOWHERE)]);
    let path = "/v1/queues/default/jobs/7-0/cancel";
    assert_eq!(console.call("POST", path, &[JSON, ("authorization", &operator)], "").0, 200);
    console.refuses(("GET", "/v1/audit", &[("authorization", &operator)], ""), 403, "`read`");
    let (_, page) = console.call("GET", "/v1/audit", &[("authorization", &reader)], "");
    assert_eq!(page["changes"][0]["caller"], "ops", "{page}");
}

#[test]
fn a_change_with_the_command_line_is_recorded() {
    let world = World::new(BUILD).with("USER", "alice");
    let queue = world.queue();
    queue.schedule("7-0", &[("url", NOWHERE), ("label", "order-7")]);
    for number in 0..3 {
        queue.dead_letter(&format!("{number}-0"), "attempts", NOWHERE);
    }
    world.run(&["jobs", "run-now", "order-7"]);
    world.run(&["jobs", "cancel", "order-7"]);
    world.run(&["dead", "replay", "1-0"]);
    let purged = world.run(&["dead", "purge", "--all", "--yes"]);
    assert_eq!(purged.code(), 0, "{purged:?}");
    let shown = world.run(&["audit", "--json"]);
    let shown: Vec<Value> =
        shown.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let texts: Vec<_> = shown.iter().map(|change| json!([change["change"], change["jobs"]])).collect();
    assert_eq!(
        texts,
        [json!(["purge", 3]), json!(["replay", 1]), json!(["cancel", 1]), json!(["run_now", 1])]
    );
    assert!(shown.iter().all(|change| change["caller"] == "cli:alice" && change["queue"] == "default"));
    let table = world.run(&["audit", "--limit", "1"]).stdout;
    assert!(table.contains("cli:alice") && table.contains("purge") && !table.contains("replay"), "{table}");
}

#[test]
fn a_change_is_made_also_if_redis_refuses_its_record() {
    let world = World::new(BUILD);
    let mut console = Console::start(&world);
    world.redis.command(&["SET", "postrider:{audit}", "x"]);
    world.queue().schedule("7-0", &[("url", NOWHERE)]);
    assert_eq!(console.call("POST", "/v1/queues/default/jobs/7-0/cancel", &[], "").0, 200);
    console.refuses(("GET", "/v1/audit", &[], ""), 503, "WRONGTYPE");
    console.process.wait_for_log("Redis refuses the record of a change by hand", DEADLINE);
}

#[test]
fn a_long_record_is_cut() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let queue = world.queue();
    queue.dead_letter("1-0", "attempts", NOWHERE);
    let ids: Vec<String> = (1..2_000).map(|number| format!("{number}-0")).collect();
    let (status, _) = console.post("/v1/dead/purge", &json!({ "ids": ids }));
    assert_eq!(status, 200);
    let record = changes(&console).remove(0);
    assert_eq!(record[3].as_str().map(str::len), Some(512), "{record}");
}
