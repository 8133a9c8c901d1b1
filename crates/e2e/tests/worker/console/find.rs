//! Lists, and what happened to a job.

use e2e::queue::Queue;
use e2e::resp::Reply;
use e2e::wait::DEADLINE;
use e2e::world::World;
use serde_json::{Value, json};

use super::{BUILD, Console, NOWHERE};

#[test]
fn a_job_is_found_with_masked_secrets() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let url = "http://me:hunter2@127.0.0.1:9/x?token=hunter2";
    let headers = r#"{"authorization":"hunter2"}"#;
    let job = world.queue().enqueue(&[("url", url), ("headers", headers), ("label", "order:1")]);
    for id in [job.as_str(), "order:1"] {
        let (status, found) = console.get(&format!("/v1/jobs/{id}"));
        assert_eq!(
            (status, &found["jobs"][0]["job_id"], &found["jobs"][0]["state"]),
            (200, &json!(job), &json!("ready"))
        );
        assert!(!found.to_string().contains("hunter2"), "{found}");
        let revealed = console.get(&format!("/v1/jobs/{id}?reveal=true")).1;
        assert!(
            revealed["jobs"][0]["fields"]["url"].as_str().is_some_and(|url| url.contains("hunter2")),
            "{revealed}"
        );
    }
    console.refuses(("GET", "/v1/jobs/nosuch", &[], ""), 404, "nothing is known of nosuch");
    console.refuses(("GET", "/v1/jobs/order:1?queue=other", &[], ""), 404, "no queue other");
}

#[test]
fn a_search_with_many_results_is_continued() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    // More than a page of the search has.
    let add = "local ids = {} for i = 1, 2500 do ids[i] = redis.call('XADD', KEYS[1], '*', 'url', ARGV[1], 'label', 'order:1') end \
               return ids";
    let added = world.redis.command(&["EVAL", add, "1", &world.queue().key("jobs"), NOWHERE]);
    let mut jobs: Vec<String> = added.array().iter().map(Reply::text).collect();
    let last_but_one = jobs[jobs.len() - 2].clone();
    let (mut path, mut found, mut answers) = ("/v1/jobs/order:1".to_owned(), vec![], 0);
    loop {
        let (status, answer) = console.get(&path);
        assert_eq!(status, 200, "{answer}");
        let ids = answer["jobs"].as_array().expect("a list").iter().map(|job| job["job_id"].as_str());
        found.extend(ids.map(|id| id.expect("an id").to_owned()));
        answers += 1;
        let next = &answer["next"];
        assert_eq!(answer["incomplete"], json!(!next.is_null()));
        let Some(cursor) = next["cursor"].as_str() else { break };
        assert_eq!(
            (&next["part"], &next["queue"], &next["of"]),
            (&json!("ready jobs"), &json!("default"), &json!(jobs.len()))
        );
        path = format!("/v1/jobs/order:1?cursor={cursor}");
    }
    jobs.sort();
    found.sort();
    assert!(answers > 1 && found == jobs, "{answers} answers, {} jobs", found.len());
    let behind = format!("/v1/jobs/order:1?cursor=5:default:{last_but_one}:0");
    assert_eq!(console.get(&behind).1["jobs"].as_array().map(Vec::len), Some(1));
    console.refuses(("GET", "/v1/jobs/order:1?cursor=9:default::0", &[], ""), 400, "next.cursor");
}

#[test]
fn a_delivered_job_is_found_by_its_result() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let _worker = world.worker(&[]);
    let job = world.queue().enqueue(&[("url", world.sink.url("/ok")), ("result_ttl_ms", "60000".to_owned())]);
    world.sink.wait_for(1, DEADLINE);
    world.queue().wait_until_drained(DEADLINE);
    let (_, found) = console.get(&format!("/v1/jobs/{job}"));
    assert_eq!(found["results"][0]["result"]["outcome"], "succeeded", "{found}");
    assert_eq!(found["results"][0]["result"]["history"][0]["status"], 200);
}

#[test]
fn lists_show_each_state() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let (queue, other) = (world.queue(), Queue::new(&world.redis, "other"));
    let ready = queue.enqueue(&[("url", NOWHERE)]);
    queue.schedule("7-0", &[("url", NOWHERE)]);
    queue.postpone("9658403816409e66", "8-0", &[("url", NOWHERE), ("flow", "orders")]);
    other.enqueue(&[("url", NOWHERE)]);
    let ids = |path: &str| -> Vec<Value> {
        let (status, answer) = console.get(path);
        assert_eq!(status, 200, "{answer}");
        answer["jobs"].as_array().expect("a list").iter().map(|job| job["job_id"].clone()).collect()
    };
    assert_eq!(ids("/v1/jobs").len(), 4);
    assert_eq!(ids("/v1/jobs?queue=default&state=ready"), [json!(ready)]);
    assert_eq!(ids("/v1/jobs?queue=default&state=scheduled"), [json!("7-0")]);
    assert_eq!(ids("/v1/jobs?queue=default&state=held"), [json!("8-0")]);
    assert_eq!(ids("/v1/jobs?flow=orders"), [json!("8-0")]);
    assert_eq!(ids("/v1/jobs?flow=orders&state=ready"), [] as [Value; 0]);
    assert_eq!(ids("/v1/jobs?flow=9658403816409e66&state=held"), [json!("8-0")]);
    assert_eq!(ids("/v1/jobs?flow=127.0.0.1&queue=default"), [json!(ready), json!("7-0")]);
    assert_eq!(ids("/v1/jobs?flow=127.0.0.1&limit=1").len(), 2, "one of each queue");
    assert_eq!(console.get("/v1/jobs?flow=127.0.0.1&limit=1").1["more"], true);
    assert_eq!(console.get("/v1/jobs?flow=127.0.0.1").1["more"], false);
    assert_eq!(console.get("/v1/jobs?queue=default&limit=1").1["more"], true);
    console.refuses(("GET", "/v1/jobs?state=dead", &[], ""), 400, "/v1/dead");
    console.refuses(("GET", "/v1/jobs?limit=0", &[], ""), 400, "write 1 to 1000");
    let (_, flows) = console.get("/v1/flows?flow=orders");
    assert_eq!((&flows["flows"][0]["flow"], &flows["flows"][0]["held"]), (&json!("orders"), &json!(1)));
    let (_, shards) = console.get("/v1/queues/default");
    assert_eq!(
        (&shards[0]["ready"], &shards[0]["scheduled"], &shards[0]["held"]),
        (&json!(1), &json!(1), &json!(1))
    );
    console.refuses(("GET", "/v1/queues/nosuch", &[], ""), 404, "no queue nosuch");
}

/// Behind its oldest entry, `XREVRANGE` looks at each entry of a stream.
#[test]
fn no_list_reads_behind_the_oldest_dead_letter() {
    let world = World::new(BUILD);
    let dead = world.queue().key("dead");
    let add = |label| world.redis.command(&["XADD", &dead, "*", "url", NOWHERE, "label", label]).text();
    let oldest = ["a", "b", "c"].map(add)[0].clone();
    let console = Console::start(&world);
    let of_oldest = format!("/v1/dead?cursor=default:{oldest}");
    for (path, letters, calls) in [
        ("/v1/dead", 3, "xrevrange:calls=2,"),
        ("/v1/dead?label=a", 1, "xrevrange:calls=1,"),
        (&of_oldest, 0, ""),
    ] {
        world.redis.command(&["CONFIG", "RESETSTAT"]);
        let (_, page) = console.get(path);
        assert_eq!(page["dead"].as_array().map(Vec::len), Some(letters), "{path}: {page}");
        let statistics = world.redis.command(&["INFO", "commandstats"]).text();
        let has_one = statistics.contains("xrevrange");
        assert!(statistics.contains(calls) && has_one != calls.is_empty(), "{path}: {statistics}");
    }
}
