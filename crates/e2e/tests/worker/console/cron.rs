//! Definitions of periodic jobs.

use std::io::Write;

use e2e::wait::DEADLINE;
use e2e::world::World;
use serde_json::{Value, json};

use super::access::token;
use super::{BUILD, Console, JSON};

const PATH: &str = "/v1/cron/default/beat";

fn each_second(url: &str) -> Value {
    json!({"every": "1s", "job": {"url": url, "headers": {"authorization": "hunter2"}}})
}

#[test]
fn a_definition_is_set_paused_run_and_removed() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let _worker = world.worker(&[]);
    let set = |definition: &Value| console.call("PUT", PATH, &[JSON], &definition.to_string());
    let definition = each_second(&world.sink.url("/ok"));
    let (status, view) = set(&definition);
    assert_eq!(
        (status, &view["when"], &view["paused_since"]),
        (201, &json!("every 1s"), &Value::Null),
        "{view}"
    );
    assert_eq!(set(&definition).0, 200);
    world.sink.wait_for(1, DEADLINE);
    let (_, list) = console.get("/v1/cron");
    assert!(list["cron"][0]["made"].as_u64() >= Some(1) && !list.to_string().contains("hunter2"), "{list}");
    let changed = |what: &str| console.call("POST", &format!("{PATH}/{what}"), &[], "").1;
    assert_eq!(changed("pause")["outcome"], "paused");
    assert_eq!(changed("pause")["outcome"], "unchanged");
    assert!(console.get(PATH).1["paused_since"].is_string());
    let job = changed("run-now")["job_id"].as_str().expect("a job").to_owned();
    assert_eq!(console.get("/v1/cron?queue=default").1["cron"][0]["name"], "beat");
    assert!(job.contains('-'), "{job}");
    assert_eq!(changed("resume")["outcome"], "resumed");
    assert_eq!(console.call("DELETE", PATH, &[], "").1["outcome"], "removed");
    console.refuses(("DELETE", PATH, &[], ""), 404, "no definition beat in queue default");
    let (_, audit) = console.get("/v1/audit");
    let changes: Vec<_> =
        audit["changes"].as_array().expect("a list").iter().map(|row| row["change"].clone()).collect();
    assert_eq!(changes, ["remove", "resume", "run_now", "pause", "pause", "apply"]);
}

#[test]
fn a_wrong_definition_is_refused_with_every_cause() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let wrong = json!({"every": "soon", "job": {"url": "nowhere"}}).to_string();
    let (status, problem) = console.call("PUT", PATH, &[JSON], &wrong);
    assert_eq!((status, &problem["field"]), (422, &json!("every")), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("job.url: ")), "{problem}");
    console.refuses(("PUT", PATH, &[JSON], "[]"), 422, "no JSON object");
    console.refuses(("PUT", PATH, &[], "{}"), 415, "application/json");
    console.refuses(("PUT", "/v1/cron/default/a%20b", &[JSON], "{}"), 400, "a name must be");
    console.refuses(("GET", PATH, &[], ""), 404, "no definition beat");
    for change in ["pause", "resume", "run-now"] {
        console.refuses(("POST", &format!("{PATH}/{change}"), &[], ""), 404, "no definition beat");
    }
}

#[test]
fn a_definition_needs_the_right_to_operate() {
    let world = World::new(BUILD);
    let (reader, entry) = token("reader", "read");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{entry}").expect("the file is written");
    let console = Console::with(&world, &["--tokens", file.path().to_str().expect("a path")]);
    let authorization = format!("Bearer {reader}");
    let headers = [JSON, ("authorization", authorization.as_str())];
    assert_eq!(console.call("GET", "/v1/cron", &headers, "").0, 200);
    let body = each_second("http://h/x").to_string();
    for (method, path) in [("PUT", PATH), ("DELETE", PATH), ("POST", "/v1/cron/default/beat/run-now")] {
        assert_eq!(console.call(method, path, &headers, &body).0, 403, "{method} {path}");
    }
}
