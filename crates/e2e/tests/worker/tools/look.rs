//! Tests of the commands that look at queues and jobs and change nothing.

use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::wait::eventually;
use e2e::world::World;
use serde_json::{Value, json};

use super::{DEADLINE, NOWHERE, document, lines, run};

e2e::in_both_builds!(
    a_job_is_found_by_its_job_id_its_entry_and_its_label,
    secrets_are_shown_only_on_demand,
    queues_are_counted,
    each_shard_is_looked_at,
    the_newer_protocol_shows_the_same,
);

fn a_job_is_found_by_its_job_id_its_entry_and_its_label(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "mail");
    let ready = queue.enqueue(&[("url", NOWHERE), ("label", "order-1")]);
    let again = queue.hand_back("1795396101000-7", &[("url", NOWHERE)]);
    queue.schedule("1795396102000-0", &[("url", NOWHERE), ("label", "order-2")]);
    let found = |id: &str| {
        let (code, answer) = document(build, &redis, &["jobs", "show", id]);
        assert_eq!((code, answer["incomplete"].as_bool()), (0, Some(false)), "{id}: {answer}");
        let job_ids = answer["jobs"].as_array().expect("a list").iter().map(|job| job["job_id"].to_string());
        job_ids.collect::<Vec<_>>().join(" ").replace('"', "")
    };
    assert_eq!([found(&ready), found("order-1")], [ready.clone(), ready]);
    assert_eq!([found(&again), found("1795396101000-7")], ["1795396101000-7", "1795396101000-7"]);
    assert_eq!([found("1795396102000-0"), found("order-2")], ["1795396102000-0", "1795396102000-0"]);
    let states: Vec<_> =
        lines(build, &redis, &["jobs", "list"]).iter().map(|job| job["state"].clone()).collect();
    assert_eq!(states, ["ready", "ready", "scheduled"]);
    assert_eq!(lines(build, &redis, &["jobs", "list", "--state", "scheduled"]).len(), 1);
    assert_eq!(lines(build, &redis, &["jobs", "list", "--queue", "other"]).len(), 0);
    let missing = run(build, &redis, &["jobs", "show", "order-3"]);
    assert_eq!(missing.code(), 1);
    assert!(missing.stderr.contains("order-3") && missing.stderr.contains("mail"), "{missing:?}");
}

fn secrets_are_shown_only_on_demand(build: Build) {
    let redis = RedisServer::start();
    let headers = r#"{"Authorization":"hunter2","Accept":"x"}"#;
    let url = "http://127.0.0.1:9/x?token=hunter2";
    let job_id = Queue::new(&redis, "default").enqueue(&[("url", url), ("headers", headers)]);
    for arguments in [&["jobs", "show", &job_id][..], &["jobs", "show", &job_id, "--json"], &["jobs", "list"]]
    {
        let output = run(build, &redis, arguments);
        assert!(output.stdout.contains(&job_id) && !output.stdout.contains("hunter2"), "{output:?}");
    }
    let (_, all) = document(build, &redis, &["jobs", "show", &job_id, "--reveal"]);
    assert_eq!(
        (all["jobs"][0]["fields"]["headers"].as_str(), all["jobs"][0]["fields"]["url"].as_str()),
        (Some(headers), Some(url))
    );
}

fn queues_are_counted(build: Build) {
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let queue = Queue::new(redis, "mail");
    queue.schedule("1-0", &[("url", NOWHERE)]);
    queue.dead_letter("2-0", "attempts", NOWHERE);
    let mut worker = world.worker(&["--queue", "mail", "--concurrency", "1"]);
    for _ in 0..2 {
        queue.enqueue(&[("no", "job")]);
    }
    eventually("rejected entries", DEADLINE, || (queue.rejected().len() == 2).then_some(()));
    queue.enqueue(&[("url", sink.url("/hang"))]);
    sink.wait_for(1, DEADLINE);
    queue.enqueue(&[("url", sink.url("/ok"))]);
    let counted = |rows: Vec<Value>| {
        let row = &rows[0];
        ["queue", "ready", "running", "scheduled", "dead", "rejected", "workers_alive"]
            .map(|name| row[name].clone())
    };
    let expected = [json!("mail"), json!(1), json!(1), json!(1), json!(1), json!(2), json!(1)];
    let rows = lines(build, redis, &["queues"]);
    assert_eq!((rows.len(), counted(rows.clone())), (1, expected));
    assert_eq!(rows[0]["workers"][0]["pending"], 1);
    assert!(rows[0]["oldest_ms"].as_u64().is_some_and(|age| age < 60_000), "{rows:?}");
    let table = run(build, redis, &["queues"]).stdout;
    assert!(table.contains("mail") && table.contains("alive") && table.contains("REJECTED"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    worker.kill();
}

fn each_shard_is_looked_at(build: Build) {
    let redis = RedisServer::start();
    redis.command(&["HSET", "postrider:{mail}:meta", "shards", "1", "shards_before", "2"]);
    let second = Queue::new(&redis, "mail/1");
    let job_id = second.enqueue(&[("url", NOWHERE), ("label", "order-1")]);
    for arguments in [&["queues", "--queue", "mail"][..], &["queues"]] {
        let rows = lines(build, &redis, arguments);
        let row = rows.iter().find(|row| row["queue"] == "mail/1").expect("the second shard");
        assert_eq!(row["ready"], 1);
    }
    assert_eq!(run(build, &redis, &["jobs", "cancel", "order-1", "--queue", "mail"]).code(), 0);
    assert_eq!((second.drained(), second.dead().len()), (Ok(()), 1));
    assert_eq!(run(build, &redis, &["dead", "replay", &job_id]).code(), 0);
    assert_eq!((second.depth(), second.dead().len()), (1, 0));
}

fn the_newer_protocol_shows_the_same(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "mail");
    let job_id = queue.enqueue(&[("url", NOWHERE)]);
    queue.schedule("7-0", &[("url", NOWHERE)]);
    queue.dead_letter("8-0", "attempts", NOWHERE);
    let newer = format!("{}?protocol=3", redis.url());
    for arguments in [
        &["jobs", "list", "--json"][..],
        &["jobs", "show", &job_id, "--json"],
        &["jobs", "show", "7-0", "--json"],
        &["dead", "list", "--json"],
        &["dead", "show", "8-0", "--json"],
        &["dead", "purge", "--all", "--dry-run"],
    ] {
        let [two, three] = [redis.url(), newer.clone()]
            .map(|url| Postrider::run(build, arguments, &[("POSTRIDER_REDIS_URL", &url)], DEADLINE));
        assert_eq!((two.code(), two.stdout), (0, three.stdout), "{arguments:?}: {}", three.stderr);
    }
    let doctor = Postrider::run(build, &["doctor"], &[("POSTRIDER_REDIS_URL", &newer)], DEADLINE);
    assert_eq!(doctor.code(), 0, "{doctor:?}");
    assert!(doctor.stdout.contains("nothing is kept on disk"), "{doctor:?}");
    let rows = Postrider::run(
        build,
        &["queues", "--queue", "mail", "--json"],
        &[("POSTRIDER_REDIS_URL", &newer)],
        DEADLINE,
    );
    assert_eq!((rows.json()["ready"].clone(), rows.json()["scheduled"].clone()), (json!(1), json!(1)));
}
