//! Tests of the commands that inspect queues and move single jobs by hand: each moves a job exactly once, and no
//! accident loses a job.

mod command_line;
mod flows;

use std::time::Duration;

use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::eventually;
use serde_json::{Value, json};

e2e::in_both_builds!(
    a_job_is_found_by_its_job_id_its_entry_and_its_label,
    secrets_are_shown_only_on_demand,
    queues_are_counted,
    each_shard_is_looked_at,
    the_newer_protocol_shows_the_same,
    a_ready_job_is_cancelled_once,
    a_waiting_job_is_cancelled_once,
    a_running_job_is_taken_from_its_worker,
    several_jobs_with_one_label_are_named_and_left_alone,
    a_waiting_job_runs_now_and_once,
    a_dead_letter_is_replayed_once_and_delivered,
    a_replay_begins_afresh,
    only_what_was_asked_for_is_replayed,
    only_what_was_asked_for_is_purged,
    an_obstacle_at_the_target_leaves_the_job_where_it_was,
    a_full_redis_takes_what_only_moves,
    old_dead_letters_go,
);

const SOON: Duration = Duration::from_secs(30);
/// Nothing listens on this port.
const NOWHERE: &str = "http://127.0.0.1:9/x";

fn run(build: Build, redis: &RedisServer, arguments: &[&str]) -> Output {
    Postrider::run(build, arguments, &[("POSTRIDER_REDIS_URL", &redis.url())], SOON)
}

/// The exit code, and the JSON document.
fn document(build: Build, redis: &RedisServer, arguments: &[&str]) -> (i32, Value) {
    let output = run(build, redis, &[arguments, &["--json"]].concat());
    (output.code(), output.json())
}

/// One JSON object a line.
fn lines(build: Build, redis: &RedisServer, arguments: &[&str]) -> Vec<Value> {
    let output = run(build, redis, &[arguments, &["--json"]].concat());
    assert_eq!(output.code(), 0, "{output:?}");
    output.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

fn outcome(answer: &Value) -> &str {
    answer["jobs"][0]["outcome"].as_str().unwrap_or_default()
}

fn a_job_is_found_by_its_job_id_its_entry_and_its_label(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "mail");
    let ready = queue.enqueue(&[("url", NOWHERE), ("label", "order-1")]);
    let again = queue.enqueue(&[("url", NOWHERE), ("_job_id", "1795396101000-7")]);
    queue.schedule("1795396102000-0", &[("url", NOWHERE), ("label", "order-2")]);
    let found = |id: &str| {
        let (code, answer) = document(build, &redis, &["jobs", "show", id]);
        assert_eq!((code, answer["cut"].as_bool()), (0, Some(false)), "{id}: {answer}");
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
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "mail");
    queue.schedule("1-0", &[("url", NOWHERE)]);
    queue.dead_letter("2-0", "attempts", NOWHERE);
    let mut worker = Postrider::ready_worker(build, &redis, &["--queue", "mail", "--concurrency", "1"], &[]);
    queue.enqueue(&[("url", sink.url("/hang"))]);
    sink.wait_for(1, SOON);
    queue.enqueue(&[("url", sink.url("/ok"))]);
    let counted = |rows: Vec<Value>| {
        let row = &rows[0];
        ["queue", "ready", "running", "scheduled", "dead", "workers_alive"].map(|name| row[name].clone())
    };
    let expected = [json!("mail"), json!(1), json!(1), json!(1), json!(1), json!(1)];
    let rows = lines(build, &redis, &["queues"]);
    assert_eq!((rows.len(), counted(rows.clone())), (1, expected));
    assert_eq!(rows[0]["workers"][0]["pending"], 1);
    assert!(rows[0]["oldest_ms"].as_u64().is_some_and(|age| age < 60_000), "{rows:?}");
    let table = run(build, &redis, &["queues"]).stdout;
    assert!(table.contains("mail") && table.contains("alive"), "{table}");
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
            .map(|url| Postrider::run(build, arguments, &[("POSTRIDER_REDIS_URL", &url)], SOON));
        assert_eq!((two.code(), two.stdout), (0, three.stdout), "{arguments:?}: {}", three.stderr);
    }
    let doctor = Postrider::run(build, &["doctor"], &[("POSTRIDER_REDIS_URL", &newer)], SOON);
    assert_eq!(doctor.code(), 0, "{doctor:?}");
    assert!(doctor.stdout.contains("nothing is kept on disk"), "{doctor:?}");
    let rows = Postrider::run(
        build,
        &["queues", "--queue", "mail", "--json"],
        &[("POSTRIDER_REDIS_URL", &newer)],
        SOON,
    );
    assert_eq!((rows.json()["ready"].clone(), rows.json()["scheduled"].clone()), (json!(1), json!(1)));
}

fn a_ready_job_is_cancelled_once(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let job_id =
        queue.enqueue(&[("url", NOWHERE), ("result_ttl_ms", "60000"), ("body", "hello"), ("_junk", "x")]);
    let (code, answer) = document(build, &redis, &["jobs", "cancel", &job_id]);
    assert_eq!((code, outcome(&answer)), (0, "cancelled"), "{answer}");
    assert_eq!(run(build, &redis, &["jobs", "cancel", &job_id]).code(), 1);
    assert_eq!(queue.drained(), Ok(()));
    let dead = queue.dead();
    assert_eq!(
        (dead.len(), dead[0].reason(), dead[0].field("_job_id")),
        (1, "cancelled".to_owned(), Some(job_id.clone()))
    );
    assert_eq!(dead[0].own_fields().len(), 3);
    assert_eq!(dead[0].field("_junk"), None);
    assert!(queue.result(&job_id).is_some_and(|result| result.contains("cancelled")));
}

fn a_waiting_job_is_cancelled_once(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    queue.schedule("7-0", &[("url", NOWHERE), ("label", "order-1")]);
    let (code, answer) = document(build, &redis, &["jobs", "cancel", "order-1"]);
    assert_eq!((code, outcome(&answer)), (0, "cancelled"), "{answer}");
    assert_eq!(run(build, &redis, &["jobs", "cancel", "7-0"]).code(), 1);
    assert_eq!((queue.drained(), queue.dead().len()), (Ok(()), 1));
    assert_eq!(
        (queue.dead()[0].reason(), queue.dead()[0].field("_job_id")),
        ("cancelled".into(), Some("7-0".into()))
    );
}

fn a_running_job_is_taken_from_its_worker(build: Build) {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let _worker = Postrider::ready_worker(build, &redis, &["--lease", "1s", "--concurrency", "1"], &[]);
    let job_id = queue.enqueue(&[("url", sink.url("/hang"))]);
    sink.wait_for(1, SOON);
    let output = run(build, &redis, &["jobs", "cancel", &job_id]);
    assert_eq!(output.code(), 0);
    assert!(output.stdout.contains("may have been sent"), "{output:?}");
    // The one slot is free again: the worker noticed.
    queue.enqueue(&[("url", sink.url("/ok"))]);
    sink.wait_for(2, SOON);
    queue.wait_until_drained(SOON);
    assert_eq!((sink.requests().len(), queue.dead().len()), (2, 1));
}

fn several_jobs_with_one_label_are_named_and_left_alone(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let job_ids = [queue.enqueue(&[("url", NOWHERE), ("label", "same")]), "7-0".to_owned()];
    queue.schedule("7-0", &[("url", NOWHERE), ("label", "same")]);
    let output = run(build, &redis, &["jobs", "cancel", "same"]);
    assert_eq!((output.code(), queue.depth(), queue.waiting()), (1, 1, 1));
    assert!(job_ids.iter().all(|job_id| output.stdout.contains(job_id)), "{output:?}");
    assert_eq!(run(build, &redis, &["jobs", "cancel", "same", "--all"]).code(), 0);
    assert_eq!((queue.drained(), queue.dead().len()), (Ok(()), 2));
}

fn a_waiting_job_runs_now_and_once(build: Build) {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    queue.schedule("7-0", &[("url", &sink.url("/ok")), ("delay_ms", "3600000")]);
    let (code, answer) = document(build, &redis, &["jobs", "run-now", "7-0"]);
    assert_eq!((code, outcome(&answer)), (0, "ready"), "{answer}");
    assert_eq!((queue.depth(), queue.waiting(), queue.scheduled()), (1, 0, 0));
    let (code, answer) = document(build, &redis, &["jobs", "run-now", "7-0"]);
    assert_eq!((code, outcome(&answer)), (1, "not_waiting"), "{answer}");
    let _worker = Postrider::ready_worker(build, &redis, &[], &[]);
    let request = &sink.wait_for(1, SOON)[0];
    assert_eq!(request.header("idempotency-key"), Some("7-0"));
    queue.wait_until_drained(SOON);
    assert_eq!((sink.requests().len(), queue.dead().len()), (1, 0));
}

fn a_dead_letter_is_replayed_once_and_delivered(build: Build) {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let mut worker = Postrider::ready_worker(build, &redis, &[], &[]);
    let url = sink.url("/flaky/1/x");
    let job_id = queue.enqueue(&[("url", url.as_str()), ("max_attempts", "1"), ("body", "hello")]);
    eventually("a dead letter", SOON, || queue.dead().pop());
    let shown = run(build, &redis, &["dead", "show", &job_id]).stdout;
    assert!(shown.contains("attempts") && shown.contains("ATTEMPT AT") && shown.contains("503"), "{shown}");
    let (code, answer) = document(build, &redis, &["dead", "replay", &job_id]);
    assert_eq!((code, answer["replayed"][0]["replay_of"].as_str()), (0, Some(job_id.as_str())), "{answer}");
    let requests = sink.wait_for(2, SOON);
    assert_eq!(requests[1].body, "hello");
    assert_eq!(requests[1].header("idempotency-key"), answer["replayed"][0]["job_id"].as_str());
    queue.wait_until_drained(SOON);
    assert_eq!(run(build, &redis, &["dead", "replay", &job_id]).code(), 1);
    assert_eq!((sink.requests().len(), queue.dead().len()), (2, 0));
    worker.stop();
}

fn a_replay_begins_afresh(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let entry = queue.dead_letter("7-0", "attempts", NOWHERE);
    let (code, answer) = document(build, &redis, &["dead", "replay", &entry, "--expires-in", "1h"]);
    assert_eq!(code, 0, "{answer}");
    let reply = redis.command(&["XRANGE", &queue.key("jobs"), "-", "+"]);
    let fields: Vec<_> = reply.array()[0].array()[1].array().chunks(2).map(|pair| pair[0].text()).collect();
    assert_eq!(fields, ["url", "body", "_history", "_replay_of", "expires_at"]);
    // A replayed job that fails again still has the job id that it came from.
    let _worker = Postrider::ready_worker(build, &redis, &["--max-attempts", "1"], &[]);
    let dead = eventually("a dead letter", SOON, || queue.dead().pop());
    assert_eq!((dead.field("_replay_of"), dead.reason()), (Some("7-0".into()), "attempts".into()));
    let history: Value = serde_json::from_str(&dead.field("_history").expect("a history")).expect("JSON");
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
}

fn only_what_was_asked_for_is_replayed(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    for (job_id, reason) in [("1-0", "attempts"), ("2-0", "expired"), ("3-0", "attempts")] {
        queue.dead_letter(job_id, reason, &format!("http://127.0.0.1:9/{job_id}"));
    }
    let left = || (queue.depth(), queue.dead().len());
    assert_eq!(
        (run(build, &redis, &["dead", "replay", "--all"]).code(), left()),
        (2, (0, 3)),
        "nobody can be asked"
    );
    assert_eq!((run(build, &redis, &["dead", "replay"]).code(), left()), (2, (0, 3)));
    assert_eq!((run(build, &redis, &["dead", "replay", "--all", "--dry-run"]).code(), left()), (0, (0, 3)));
    let listed = lines(build, &redis, &["dead", "list", "--url-contains", "/3-0", "--since", "1h"]);
    assert_eq!(listed.iter().map(|letter| letter["job_id"].clone()).collect::<Vec<_>>(), ["3-0"]);
    let arguments = ["dead", "replay", "--all", "--reason", "attempts", "--yes", "--rate", "100/s"];
    let (code, answer) = document(build, &redis, &arguments);
    assert_eq!((code, left()), (0, (2, 1)), "{answer}");
    assert_eq!(document(build, &redis, &arguments), (0, json!({"replayed": [], "failed": []})));
    assert_eq!((queue.dead()[0].reason(), left()), ("expired".to_owned(), (2, 1)));
}

fn only_what_was_asked_for_is_purged(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    redis.command(&["XADD", &queue.key("dead"), "1795396101000-0", "url", NOWHERE, "_reason", "expired"]);
    for reason in ["attempts", "expired"] {
        queue.dead_letter("2-0", reason, NOWHERE);
    }
    let purge = |arguments: &[&str]| {
        let output = run(build, &redis, &[&["dead", "purge"], arguments].concat());
        (output.code(), queue.dead().len())
    };
    assert_eq!(purge(&[]), (2, 3));
    assert_eq!(purge(&["--all"]), (2, 3), "without a terminal it needs --yes");
    assert_eq!(purge(&["--reason", "attempts", "--yes"]), (0, 2));
    assert_eq!(purge(&["--older-than", "10s", "--yes"]), (0, 1));
    assert_eq!(purge(&["--older-than", "10s", "--yes"]), (0, 1));
    assert_eq!(purge(&["--all", "--yes"]), (0, 0));
}

fn an_obstacle_at_the_target_leaves_the_job_where_it_was(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let ready = queue.enqueue(&[("url", NOWHERE)]);
    queue.schedule("7-0", &[("url", NOWHERE)]);
    redis.command(&["SET", &queue.key("dead"), "obstacle"]);
    for job_id in [ready.as_str(), "7-0"] {
        let output = run(build, &redis, &["jobs", "cancel", job_id]);
        assert!(output.code() == 4 && output.stderr.contains("WRONGTYPE"), "{output:?}");
    }
    assert_eq!((queue.depth(), queue.waiting(), queue.scheduled()), (1, 1, 1));
    redis.command(&["DEL", &queue.key("dead")]);
    assert_eq!(run(build, &redis, &["jobs", "cancel", &ready]).code(), 0);
    redis.command(&["SET", &queue.key("jobs"), "obstacle"]);
    for arguments in [["jobs", "run-now", "7-0"], ["dead", "replay", &ready]] {
        let output = run(build, &redis, &arguments);
        assert!(output.code() == 4 && output.stderr.contains("WRONGTYPE"), "{output:?}");
    }
    assert_eq!((queue.waiting(), queue.scheduled(), queue.dead().len()), (1, 1, 1));
    redis.command(&["DEL", &queue.key("jobs")]);
    assert_eq!(run(build, &redis, &["jobs", "run-now", "7-0"]).code(), 0);
    assert_eq!(run(build, &redis, &["dead", "replay", &ready]).code(), 0);
    assert_eq!((queue.depth(), queue.waiting(), queue.dead().len()), (2, 0, 0));
}

fn a_full_redis_takes_what_only_moves(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let ready = queue.enqueue(&[("url", NOWHERE)]);
    for job_id in ["7-0", "8-0"] {
        queue.schedule(job_id, &[("url", NOWHERE)]);
    }
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for arguments in [["jobs", "cancel", &ready], ["jobs", "cancel", "7-0"], ["jobs", "run-now", "8-0"]] {
        let output = run(build, &redis, &arguments);
        assert_eq!(output.code(), 0, "{output:?}");
    }
    assert_eq!((queue.depth(), queue.waiting(), queue.dead().len()), (1, 0, 2));
    assert_eq!(run(build, &redis, &["dead", "replay", "7-0"]).code(), 0);
    assert_eq!((queue.depth(), queue.dead().len()), (2, 1));
    assert_eq!(run(build, &redis, &["dead", "purge", "--all", "--yes"]).code(), 0);
    assert_eq!(queue.dead().len(), 0);
}

fn old_dead_letters_go(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    const OLD: &str = "for i = 1, 1000 do redis.call('XADD', KEYS[1], '1600000000000-' .. i, 'url', 'x') end";
    redis.command(&["EVAL", OLD, "1", &queue.key("dead")]);
    queue.enqueue(&[("body", "no url")]);
    let _worker = Postrider::ready_worker(build, &redis, &[], &[]);
    let dead = || queue.dead().iter().filter(|letter| letter.reason() == "malformed").count();
    eventually("a dead letter", SOON, || (dead() == 1).then_some(()));
    assert!(queue.dead().len() <= 101, "{} are left: whole blocks of them must be gone", queue.dead().len());
}
