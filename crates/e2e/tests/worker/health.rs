//! Tests of `postrider health` against a running worker, in both builds.

use e2e::process::{Build, Output, Postrider};
use e2e::redis::RedisServer;
use e2e::wait::{DEADLINE, eventually_or};

e2e::in_both_builds!(
    a_worker_is_ready_while_it_has_redis_and_alive_all_the_same,
    health_fails_where_nothing_listens,
    health_starts_no_telemetry,
);

fn health(build: Build, listen: &str, more: &[&str]) -> Output {
    let arguments = [&["health"], more].concat();
    Postrider::run(build, &arguments, &[("POSTRIDER_LISTEN", listen)], DEADLINE)
}

/// A worker and the address that it listens on.
fn worker(build: Build, redis: &RedisServer) -> (Postrider, String) {
    let mut worker = Postrider::ready_worker(build, redis, &["--listen=127.0.0.1:0"], &[]);
    let line = worker.wait_for_log("status listens on http://", DEADLINE);
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.expect("the line was looked for").to_owned();
    (worker, address)
}

fn a_worker_is_ready_while_it_has_redis_and_alive_all_the_same(build: Build) {
    let mut redis = RedisServer::start();
    let (_worker, address) = worker(build, &redis);
    let well = health(build, &address, &[]);
    assert_eq!(well.code(), 0, "{well:?}");
    assert!(well.stdout.starts_with("ready: ") && well.stderr.is_empty(), "{well:?}");

    redis.kill();
    eventually_or("the worker is not ready without Redis", DEADLINE, || {
        let unwell = health(build, &address, &[]);
        let is_reported = unwell.code() == 1
            && unwell.stderr.contains("answered 503: the queue default does not work: Redis");
        if is_reported { Ok(()) } else { Err(format!("{unwell:?}")) }
    });
    let alive = health(build, &address, &["--live"]);
    assert_eq!(alive.code(), 0, "{alive:?}");

    redis.restart();
    eventually_or("the worker is ready again", DEADLINE, || {
        let well = health(build, &address, &[]);
        if well.code() == 0 { Ok(()) } else { Err(format!("{well:?}")) }
    });
}

fn health_fails_where_nothing_listens(build: Build) {
    let redis = RedisServer::start();
    let (mut stopped, address) = worker(build, &redis);
    assert!(stopped.stop().success());
    for more in [&[][..], &["--live"]] {
        let unwell = health(build, &address, more);
        assert_eq!(unwell.code(), 1, "{unwell:?}");
        assert!(unwell.stderr.contains("no response from http://"), "{unwell:?}");
    }
    let nowhere = health(build, "", &[]);
    assert_eq!(nowhere.code(), 1, "{nowhere:?}");
    assert!(nowhere.stderr.contains("POSTRIDER_LISTEN"), "{nowhere:?}");
}

/// The command runs every few seconds: it starts no exporter and writes no log line.
fn health_starts_no_telemetry(build: Build) {
    let redis = RedisServer::start();
    let (_worker, address) = worker(build, &redis);
    let environment = [
        ("POSTRIDER_LISTEN", address.as_str()),
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address"),
    ];
    let well = Postrider::run(build, &["health"], &environment, DEADLINE);
    assert_eq!((well.code(), well.stderr.as_str()), (0, ""), "{well:?}");
}
