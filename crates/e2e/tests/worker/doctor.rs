//! Tests of `postrider doctor`: it names what is wrong, and the documented rights are enough, in both builds.

use std::time::Duration;

use e2e::process::{Build, Postrider, Signal};
use e2e::queue::Queue;
use e2e::redis::{RedisServer, free_port};
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;

e2e::in_both_builds!(
    a_server_without_problems_passes,
    no_server_is_an_error,
    eviction_is_an_error,
    a_replica_is_an_error,
    a_made_up_id_and_a_missing_group_are_named,
    a_key_of_a_wrong_type_is_an_error,
    the_least_rights_are_enough,
    with_the_least_rights_a_worker_ends_at_once,
    a_missing_right_is_named,
    a_collector_that_does_not_answer_is_named,
    orphaned_jobs_are_reported_and_a_worker_requeues_them,
);

/// The list in `docs/operating.md`.
const WORKER: &str = "+ping +time +eval +evalsha +xadd +xreadgroup +xack +xdel +xclaim +xpending +xrange +xtrim +xlen \
                      +xgroup|create +xgroup|delconsumer +xinfo|groups +hget +hmget +hset +hdel +hgetall +hlen +hexists +hkeys +zadd +zrem +zrange \
                      +zrangebyscore +zrangebylex +zcard +zscore +hscan +pexpire +get +set +client|id +client|unblock";
const TOOLS: &str = "+scan +info +config|get +xrevrange +xinfo|stream +xinfo|consumers +exists +zlexcount";

/// The exit code, and `LEVEL CHECK` of each finding that is not ok.
fn doctor(build: Build, url: &str, environment: &[(&str, &str)]) -> (i32, Vec<String>) {
    let environment = [&[("POSTRIDER_REDIS_URL", url)], environment].concat();
    let output = Postrider::run(build, &["doctor", "--json"], &environment, DEADLINE);
    let answer = output.json();
    let findings = answer["findings"].as_array().expect("a list").iter();
    let bad = findings.filter(|finding| finding["level"] != "ok").map(|finding| {
        assert!(finding["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{finding}");
        format!("{} {}", finding["level"], finding["check"]).replace('"', "")
    });
    (output.code(), bad.collect())
}

fn durable(arguments: &[&str]) -> RedisServer {
    RedisServer::start_with(&[&["--appendonly", "yes"], arguments].concat())
}

fn user(redis: &RedisServer, rights: &[&str]) -> String {
    let mut command = vec!["ACL", "SETUSER", "postrider", "reset", "on", ">pw", "~postrider:*"];
    command.extend(rights.iter().flat_map(|rights| rights.split_whitespace()));
    assert_eq!(redis.command(&command).text(), "OK");
    format!("redis://postrider:pw@127.0.0.1:{}", redis.port)
}

fn a_server_without_problems_passes(build: Build) {
    let redis = durable(&[]);
    assert_eq!(doctor(build, &redis.url(), &[]), (0, vec![]));
    let text = Postrider::run(build, &["doctor", "--redis-url", &redis.url()], &[], DEADLINE).stdout;
    assert!(text.contains("0 errors, 0 warnings"), "{text}");
}

fn no_server_is_an_error(build: Build) {
    let url = format!("redis://127.0.0.1:{}", free_port());
    assert_eq!(doctor(build, &url, &[]), (1, vec!["error connection".to_owned()]));
}

fn eviction_is_an_error(build: Build) {
    let redis = durable(&["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"]);
    assert_eq!(doctor(build, &redis.url(), &[]), (1, vec!["error eviction".to_owned()]));
}

fn a_replica_is_an_error(build: Build) {
    let primary = durable(&[]);
    let replica = durable(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    let (code, found) = doctor(build, &replica.url(), &[]);
    assert_eq!((code, found.contains(&"error role".to_owned())), (1, true), "{found:?}");
}

fn a_made_up_id_and_a_missing_group_are_named(build: Build) {
    let redis = durable(&[]);
    redis.command(&["XADD", "postrider:{mail}:jobs", "9999999999999999-0", "url", "x"]);
    let found = doctor(build, &redis.url(), &[]);
    assert_eq!(found, (0, ["warn group", "warn last id", "warn workers"].map(str::to_owned).to_vec()));
    let last = ["XADD", "postrider:{mail}:jobs", "18446744073709551615-18446744073709551615", "url", "x"];
    redis.command(&last);
    assert_eq!(doctor(build, &redis.url(), &[]).0, 1, "the stream takes no job any more");
}

fn a_key_of_a_wrong_type_is_an_error(build: Build) {
    let redis = durable(&[]);
    redis.command(&["SET", "postrider:{mail}:waiting", "x"]);
    assert_eq!(doctor(build, &redis.url(), &[]), (1, vec!["error keys".to_owned()]));
}

fn the_least_rights_are_enough(build: Build) {
    let (redis, sink) = (durable(&[]), Sink::start());
    let queue = Queue::new(&redis, "default");
    let url = user(&redis, &[WORKER]);
    let config = TextFile::new("[flows.orders]\nconcurrency = 1\nrate = \"20/s\"\nburst = 1\n");
    let arguments = ["--retry-base", "50ms", "--config", config.path()];
    let mut worker = Postrider::ready_worker(build, &redis, &arguments, &[("POSTRIDER_REDIS_URL", &url)]);
    let limited = [("url", sink.url("/slow/20")), ("flow", "orders".to_owned())];
    (0..5).for_each(|_| drop(queue.enqueue(&limited)));
    for path in ["/flaky/2/x", "/status/410"] {
        let send = ["send", "POST", &sink.url(path), "--wait", "--redis-url", &url];
        let expected = if path == "/status/410" { 1 } else { 0 };
        let output = Postrider::run(build, &send, &[], DEADLINE);
        assert_eq!(output.code(), expected, "{output:?}\n{}", worker.log().join("\n"));
    }
    queue.wait_until_drained(DEADLINE);
    assert_eq!((queue.dead().len(), worker.stop().code()), (1, Some(0)));
    let log = worker.log().join("\n");
    assert!(!log.contains("NOPERM"), "{log}");
    // `ACL DRYRUN` is not among them: each command is tried.
    let url = user(&redis, &[WORKER, TOOLS]);
    assert_eq!(doctor(build, &url, &[]), (0, vec![]));
    for command in [
        &["queues"][..],
        &["flows"],
        &["jobs", "list"],
        &["dead", "list"],
        &["dead", "replay", "--all", "--yes"],
    ] {
        let output = Postrider::run(build, command, &[("POSTRIDER_REDIS_URL", &url)], DEADLINE);
        assert_eq!((output.code(), output.stderr.contains("NOPERM")), (0, false), "{output:?}");
    }
    assert_eq!((queue.depth(), queue.dead().len()), (1, 0));
}

/// The worker's read would block for longer.
fn with_the_least_rights_a_worker_ends_at_once(build: Build) {
    let redis = durable(&[]);
    let url = user(&redis, &[WORKER]);
    let mut worker = Postrider::ready_worker(build, &redis, &[], &[("POSTRIDER_REDIS_URL", &url)]);
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.wait_exit(Duration::from_secs(2)).code(), Some(0));
}

fn a_missing_right_is_named(build: Build) {
    let redis = durable(&[]);
    let expected = (1, vec!["error rights".to_owned(), "warn rights".to_owned()]);
    for how in ["-acl", "+acl"] {
        let url = user(&redis, &[WORKER, TOOLS, "-xclaim -zscore", how]);
        assert_eq!(doctor(build, &url, &[]), expected, "{how}");
    }
    // The keys of flows and of pauses are none of a queue.
    let url = user(&redis, &[WORKER, TOOLS, "resetkeys ~postrider:{*}:*"]);
    assert_eq!(doctor(build, &url, &[]), (1, vec!["error rights".to_owned(); 2]));
    let url = user(&redis, &[WORKER]);
    let (code, found) = doctor(build, &url, &[]);
    assert_eq!((code, found.iter().any(|finding| finding.starts_with("error"))), (0, false), "{found:?}");
}

fn a_collector_that_does_not_answer_is_named(build: Build) {
    let redis = durable(&[]);
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let environment = [("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let (code, found) = doctor(build, &redis.url(), &environment);
    assert_eq!(code, 0, "telemetry harms no job");
    assert!(!found.is_empty() && found.iter().all(|finding| finding == "warn telemetry"), "{found:?}");
}

/// The schedule and the list of flows were deleted: with the documented rights, a worker finds all jobs.
fn orphaned_jobs_are_reported_and_a_worker_requeues_them(build: Build) {
    let (redis, sink) = (durable(&[]), Sink::start());
    let queue = Queue::new(&redis, "default");
    let url = sink.url("/ok");
    queue.schedule("1-0", &[("url", &url)]);
    for job_id in ["2-0", "3-0"] {
        // The id of the flow `orders`.
        queue.postpone("9658403816409e66", job_id, &[("url", &url), ("flow", "orders")]);
    }
    assert_eq!(doctor(build, &redis.url(), &[]), (0, vec![]));
    redis.command(&["DEL", &queue.key("scheduled"), &queue.key("flows")]);
    assert_eq!(doctor(build, &redis.url(), &[]), (0, vec!["warn schedule".to_owned()]));
    let limited = user(&redis, &[WORKER]);
    let mut worker = Postrider::ready_worker(build, &redis, &[], &[("POSTRIDER_REDIS_URL", &limited)]);
    worker.wait_for_log("requeued orphaned jobs", DEADLINE);
    sink.wait_for(3, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
}
