//! Redis as people run it: failover by Sentinel, Unix socket, RESP3.

use std::process::{Child, Command, Stdio};

use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::{RedisServer, free_port};
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

/// A process that is killed when the test ends, whichever way.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sentinel(folder: &std::path::Path, primary: u16) -> (Killed, u16) {
    let port = free_port();
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor rig 127.0.0.1 {primary} 1\n\
         sentinel down-after-milliseconds rig 1000\nsentinel failover-timeout rig 3000\n"
    );
    let file = folder.join("sentinel.conf");
    std::fs::write(&file, text).expect("a file");
    let program = std::env::var("POSTRIDER_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let mut command = Command::new(program);
    command.arg(&file).arg("--sentinel").current_dir(folder);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    (Killed(child.expect("a sentinel starts")), port)
}

#[test]
fn a_worker_survives_a_failover_by_sentinel_without_a_restart() {
    let sink = Sink::start();
    let mut primary = RedisServer::start();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    eventually("a replica in step", DEADLINE, || {
        primary.command(&["INFO", "replication"]).text().contains("state=online").then_some(())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (_sentinel, port) = sentinel(folder.path(), primary.port);
    let url = format!("redis-sentinel://127.0.0.1:{port}/0?sentinelServiceName=rig");
    let ask = |what: &[&str]| e2e::resp::Connection::open(port).and_then(|mut open| open.command(what));
    eventually("a sentinel that knows the replica", DEADLINE, || {
        let replicas = ask(&["SENTINEL", "REPLICAS", "rig"]).ok()?;
        matches!(replicas, e2e::resp::Reply::Array(known) if known.len() == 1).then_some(())
    });
    let environment = [("POSTRIDER_REDIS_URL", url.as_str())];
    let mut worker = Postrider::ready_worker(BUILD, &replica, &["--lease", "1s"], &environment);
    assert_eq!(send(&url, &[&sink.url("/ok"), "--wait"]).code(), 0);
    primary.kill();
    eventually("a new primary", DEADLINE, || {
        // A sentinel closes the connections of a server that becomes the primary.
        let mut open = e2e::resp::Connection::open(replica.port).ok()?;
        open.command(&["INFO", "replication"]).ok()?.text().contains("role:master").then_some(())
    });
    Queue::new(&replica, "default").enqueue(&[("url", sink.url("/ok?after"))]);
    sink.wait_for_path("/ok?after", 1, DEADLINE);
    Queue::new(&replica, "default").wait_until_drained(DEADLINE);
    let lines = worker.log().len();
    assert!(lines < 20, "{lines} lines:\n{}", worker.log().join("\n"));
    assert!(worker.stop().success());
}
