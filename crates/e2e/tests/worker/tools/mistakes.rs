//! Tests that mistakes of producers and of operators are named: a key without braces, unknown fields, a foreign key, a
//! server that may lose jobs, a worker that was killed.

use e2e::cluster;
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::eventually;
use serde_json::json;

use super::{DEADLINE, NOWHERE, document, lines, run};

const BUILD: Build = Build::Lean;

#[test]
fn a_stream_whose_key_lacks_the_braces_is_named() {
    const ADVICE: &str = "write postrider:{mail}:jobs";
    let redis = RedisServer::start();
    redis.command(&["XADD", "postrider:mail:jobs", "*", "url", NOWHERE]);
    for arguments in [&["queues"][..], &["queues", "--queue", "mail"], &["jobs", "list"]] {
        let output = run(BUILD, &redis, arguments);
        assert!(output.stderr.contains(ADVICE), "{arguments:?}: {output:?}");
    }
    let doctor = run(BUILD, &redis, &["doctor"]);
    assert!(doctor.stdout.contains("no worker reads postrider:mail:jobs"), "{doctor:?}");
    let mut worker = Postrider::ready_worker(BUILD, &redis, &["--queue", "mail"], &[]);
    worker.wait_for_log(ADVICE, DEADLINE);
}

#[test]
fn a_foreign_key_is_named_and_the_other_queues_are_shown() {
    let redis = RedisServer::start();
    redis.command(&["LPUSH", "postrider:{bad}:jobs", "x"]);
    let job_id = Queue::new(&redis, "mail").enqueue(&[("url", NOWHERE), ("label", "order-1")]);
    Queue::new(&redis, "mail").dead_letter("7-0", "attempts", NOWHERE);
    for (arguments, shown) in [
        (&["jobs", "list"][..], job_id.as_str()),
        (&["jobs", "show", "order-1"], &job_id),
        (&["dead", "list"], "7-0"),
        (&["queues"], "mail"),
        (&["flows"], "FLOW"),
    ] {
        let output = run(BUILD, &redis, arguments);
        assert!(output.stdout.contains(shown), "{arguments:?}: {output:?}");
        let reads_the_stream = !matches!(arguments[0], "dead" | "flows");
        assert_eq!(output.code(), i32::from(reads_the_stream), "{arguments:?}: {output:?}");
        let named = output.stderr.contains("the key postrider:{bad}:jobs is no stream");
        assert_eq!(named, reads_the_stream, "{output:?}");
    }
    let doctor = run(BUILD, &redis, &["doctor"]);
    assert!(doctor.stdout.contains("the key postrider:{bad}:jobs is no stream"), "{doctor:?}");
}

#[test]
fn an_unknown_field_is_named_once_or_refused() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let (mail, bulk) = (Queue::new(&redis, "mail"), Queue::new(&redis, "bulk"));
    let fields = [("url", sink.url("/ok")), ("max_attemps", "3".to_owned()), ("json", "{}".to_owned())];
    for _ in 0..3 {
        mail.enqueue(&fields);
    }
    let doctor = run(BUILD, &redis, &["doctor"]);
    assert!(doctor.stdout.contains("\"max_attemps\" (did you mean max_attempts?)"), "{doctor:?}");
    let config = TextFile::new("[queues.mail]\n[queues.bulk]\nunknown_fields = \"refuse\"\n");
    let mut worker = Postrider::ready_worker(BUILD, &redis, &["--config", config.path()], &[]);
    sink.wait_for(3, DEADLINE);
    mail.wait_until_drained(DEADLINE);
    bulk.enqueue(&fields);
    let dead = eventually("a dead letter", DEADLINE, || bulk.dead().pop());
    let error = dead.field("_error").unwrap_or_default();
    assert!(dead.reason() == "malformed" && error.contains("\"max_attemps\""), "{error}");
    assert_eq!(worker.stop().code(), Some(0));
    let log = worker.log().join("\n");
    for (field, meant) in [("max_attemps", "max_attempts"), ("json", "body")] {
        let lines = log.lines().filter(|line| line.contains("a job has the field") && line.contains(field));
        assert!(lines.clone().all(|line| line.contains(meant)), "{log}");
        assert_eq!(lines.count(), 1, "{field}: {log}");
    }
    assert_eq!(sink.requests().len(), 3);
}

#[test]
fn a_killed_worker_is_silent_after_one_lease() {
    let redis = RedisServer::start();
    let mut worker = Postrider::ready_worker(BUILD, &redis, &["--lease", "1s"], &[]);
    let state = || lines(BUILD, &redis, &["queues"])[0]["workers"][0]["state"].clone();
    assert_eq!(state(), json!("alive"));
    worker.kill();
    eventually("a silent worker", DEADLINE, || (state() == json!("silent")).then_some(()));
    let (_, doctor) = document(BUILD, &redis, &["doctor"]);
    let findings = doctor["findings"].as_array().expect("a list").iter();
    let is_named =
        findings.filter_map(|finding| finding["seen"].as_str()).any(|seen| seen.contains("is silent for"));
    assert!(is_named, "{doctor}");
    eventually("a worker that is gone", DEADLINE, || (state() == json!("gone")).then_some(()));
}

#[test]
fn a_worker_warns_of_a_server_that_may_lose_jobs() {
    let arguments = ["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"];
    let redis = RedisServer::start_with(&arguments);
    let mut worker = Postrider::ready_worker(BUILD, &redis, &[], &[]);
    worker.wait_for_log("maxmemory-policy allkeys-lru deletes whole queues", DEADLINE);
    worker.wait_for_log("has no append-only file", DEADLINE);
    let ready = worker.wait_for_log("worker is ready", DEADLINE);
    assert!(ready.contains(&format!("127.0.0.1:{}", redis.port)), "{ready}");
    let start = worker.wait_for_log("postrider starts", DEADLINE);
    assert!(start.contains(env!("CARGO_PKG_VERSION")) && start.contains("none in this build"), "{start}");
}

#[test]
fn settings_that_are_most_likely_not_meant_are_named() {
    let redis = RedisServer::start();
    let variables = [("POSTRIDER_CONCURENCY", "3"), ("POSTRIDER_LOG", "info,\n")];
    let arguments = ["--lease", "100d", "--retry-base", "2h"];
    let mut worker = Postrider::ready_worker(BUILD, &redis, &arguments, &variables);
    worker.wait_for_log("did you mean POSTRIDER_CONCURRENCY?", DEADLINE);
    worker.wait_for_log("--lease 100d: the jobs of a dead worker wait for that long", DEADLINE);
    worker.wait_for_log("base 2h is more than cap 1h", DEADLINE);
}

#[test]
fn a_fatal_error_is_json_where_the_log_is() {
    let url = "redis://127.0.0.1:1?db=3";
    let arguments = ["worker", "--log-format", "json"];
    let output = Postrider::run(BUILD, &arguments, &[("POSTRIDER_REDIS_URL", url)], DEADLINE);
    assert_eq!(output.code(), 2, "{output:?}");
    let line = output.stderr.lines().last().expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("a JSON object");
    let message = line["message"].as_str().unwrap_or_default();
    assert!(line["level"] == "ERROR" && message.contains("`db` is not known"), "{line}");
}

#[test]
fn a_wrong_word_on_the_command_line_is_answered_with_the_right_one() {
    let redis = RedisServer::start();
    Queue::new(&redis, "mail").enqueue(&[("url", NOWHERE)]);
    let dead = run(BUILD, &redis, &["jobs", "list", "--state", "dead"]);
    assert!(dead.code() == 2 && dead.stderr.contains("postrider dead list"), "{dead:?}");
    let queue = run(BUILD, &redis, &["queues", "--queue", "mial"]);
    assert!(
        queue.stderr.contains("there is no queue mial") && queue.stderr.contains("did you mean mail?"),
        "{queue:?}"
    );
    let config = TextFile::new("[queue.default]\n");
    let doctor = run(BUILD, &redis, &["doctor", "--config", config.path()]);
    assert!(doctor.code() == 1 && doctor.stdout.contains("did you mean `queues`?"), "{doctor:?}");
}

#[test]
fn characters_that_control_a_terminal_are_escaped_everywhere() {
    const FLOW: &str = "a\u{202e}b\u{2028}c\u{9b}d";
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    // One job alone does not open a breaker.
    let [job_id, ..] = [(); 3].map(|()| queue.enqueue(&[("url", NOWHERE), ("flow", FLOW), ("body", FLOW)]));
    let config = TextFile::new("[flows.default]\nbreaker_failures = 1\nbreaker_pause = \"30s\"\n");
    let mut worker = Postrider::ready_worker(BUILD, &redis, &["--config", config.path()], &[]);
    let line = worker.wait_for_log("the destination does not answer", DEADLINE);
    eventually("held jobs", DEADLINE, || (queue.waiting() == 3 && queue.scheduled() == 0).then_some(()));
    let mut shown = vec![line];
    for arguments in
        [&["jobs", "show", &job_id][..], &["jobs", "show", &job_id, "--json"], &["jobs", "list"], &["flows"]]
    {
        let output = run(BUILD, &redis, arguments);
        assert_eq!(output.code(), 0, "{output:?}");
        shown.push(output.stdout);
    }
    for text in &shown {
        assert!(text.contains("202e") && !text.contains(['\u{202e}', '\u{2028}', '\u{9b}']), "{text:?}");
    }
    let document: serde_json::Value = serde_json::from_str(&shown[2]).expect("a JSON document");
    assert_eq!(document["jobs"][0]["fields"]["flow"], FLOW, "an escape in JSON is the same text");
}

/// Nothing listens at the announced address. The address of the URL answers, so it is not the one to blame.
#[test]
fn an_announced_address_that_does_not_answer_is_named() {
    let node = RedisServer::start_cluster_node();
    node.command(&["CONFIG", "SET", "cluster-announce-port", "9"]);
    let slots: Vec<String> = (0..16384).map(|slot: u32| slot.to_string()).collect();
    let assign: Vec<&str> =
        ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
    node.command(&assign);
    let url = format!("redis-cluster://127.0.0.1:{}", node.port);
    let output = Postrider::run(BUILD, &["queues", "--redis-url", &url], &[], DEADLINE);
    assert_eq!(output.code(), 4, "{output:?}");
    assert!(output.stderr.contains("announce 127.0.0.1:9, which must be reachable from here"), "{output:?}");
}

/// A client of single servers would work for some queues and not for others.
#[test]
fn a_node_of_a_cluster_is_no_single_server() {
    let nodes = cluster::start(3);
    for command in [&["worker"][..], &["send", NOWHERE], &["queues"]] {
        let output = run(BUILD, &nodes[0], command);
        assert!(output.code() == 4 && output.stderr.contains("write redis-cluster://"), "{output:?}");
    }
    let doctor = run(BUILD, &nodes[0], &["doctor"]);
    assert!(doctor.code() == 1 && doctor.stdout.contains("write redis-cluster://"), "{doctor:?}");
}
