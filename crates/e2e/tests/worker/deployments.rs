//! Redis as people run it: failover by Sentinel, Unix socket, RESP3.

use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sentinel::Watched;
use e2e::sink::Sink;
use e2e::wait::{DEADLINE, eventually};

const BUILD: Build = Build::Otel;

fn send(url: &str, arguments: &[&str]) -> Output {
    let arguments = [&["send", "--redis-url", url], arguments].concat();
    Postrider::run(BUILD, &arguments, &[], DEADLINE)
}

/// A delivered, a retried and a dead-lettered job, each sent and waited for over this URL.
fn the_main_job(redis: &RedisServer, url: &str) {
    let sink = Sink::start();
    let fast = ["--retry-base", "20ms"];
    let mut worker = Postrider::ready_worker(BUILD, redis, &fast, &[("POSTRIDER_REDIS_URL", url)]);
    for (path, code) in [("/ok", 0), ("/flaky/2/x", 0), ("/status/410", 1)] {
        let output = send(url, &[&sink.url(path), "--wait"]);
        assert_eq!(output.code(), code, "{path}: {output:?}");
    }
    assert!(worker.stop().success());
}

#[test]
fn resp3() {
    let redis = RedisServer::start();
    the_main_job(&redis, &format!("{}?protocol=3", redis.url()));
}

#[test]
fn a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("redis.sock");
    let socket = socket.to_str().expect("a path");
    let redis = RedisServer::start_with(&["--unixsocket", socket]);
    the_main_job(&redis, &format!("redis+unix://{socket}"));
}

#[test]
fn a_worker_survives_a_failover_by_sentinel_without_a_restart() {
    let sink = Sink::start();
    let mut watched = Watched::start(1, &[]);
    let url = watched.url();
    let Watched { primary, replicas, .. } = &mut watched;
    let replica = &replicas[0];
    let environment = [("POSTRIDER_REDIS_URL", url.as_str())];
    let mut worker = Postrider::ready_worker(BUILD, replica, &["--lease", "1s"], &environment);
    assert_eq!(send(&url, &[&sink.url("/ok"), "--wait"]).code(), 0);
    primary.kill();
    eventually("a new primary", DEADLINE, || {
        // A sentinel closes the connections of a server that becomes the primary.
        let mut open = e2e::resp::Connection::open(replica.port).ok()?;
        open.command(&["INFO", "replication"]).ok()?.text().contains("role:master").then_some(())
    });
    Queue::new(replica, "default").enqueue(&[("url", sink.url("/ok?after"))]);
    sink.wait_for_path("/ok?after", 1, DEADLINE);
    Queue::new(replica, "default").wait_until_drained(DEADLINE);
    let lines = worker.log().len();
    assert!(lines < 20, "{lines} lines:\n{}", worker.log().join("\n"));
    assert!(worker.stop().success());
}
