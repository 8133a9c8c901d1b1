//! Tests that nobody outside can hold up a worker: its one thread does everything.

use std::time::Duration;

use e2e::hostile::{Behaviour, Hostile};
use e2e::process::{Build, Postrider, Signal};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::{DEADLINE, eventually};

e2e::in_both_builds!(a_log_that_nobody_reads_stops_nothing);

/// More lines than a pipe and the worker's memory for lines hold.
fn a_log_that_nobody_reads_stops_nothing(build: Build) {
    const JOBS: usize = 2000;
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let environment = [("POSTRIDER_LOG", "trace")];
    let queue = Queue::new(&redis, "default");
    let mut worker = Postrider::unread_worker(build, &redis, &[], &environment);
    let job = [("url", sink.url("/status/404"))];
    (0..JOBS).for_each(|_| drop(queue.enqueue(&job)));
    sink.wait_for(JOBS, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(worker.exited(), None);
    worker.read_log();
    worker.wait_for_log("log lines were dropped", DEADLINE);
    // Nobody reads this one either, to its end.
    let mut worker = Postrider::unread_worker(build, &redis, &[], &environment);
    (0..JOBS).for_each(|_| drop(queue.enqueue(&job)));
    sink.wait_for(2 * JOBS, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
}

#[test]
fn destinations_that_send_without_end_leave_others_their_turn() {
    const JOBS: usize = 100;
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    let flood = Hostile::start(Behaviour::Drip(Vec::new(), interim, Duration::ZERO), None);
    let _worker = Postrider::ready_worker(Build::Lean, &redis, &[], &[]);
    let url = format!("http://127.0.0.1:{}/", flood.port());
    for _ in 0..4 {
        queue.enqueue(&[("url", url.as_str()), ("timeout_ms", "3600000")]);
    }
    eventually("a flood", DEADLINE, || (!flood.heads().is_empty()).then_some(()));
    (0..JOBS).for_each(|_| drop(queue.enqueue(&[("url", sink.url("/ok"))])));
    sink.wait_for(JOBS, DEADLINE);
}

#[test]
fn a_paused_worker_reports_its_own_pause_and_no_jump_of_redis() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let mut worker = Postrider::ready_worker(Build::Lean, &redis, &["--lease", "1s"], &[]);
    worker.signal(Signal::SIGSTOP);
    // More than a lease.
    std::thread::sleep(Duration::from_millis(1500));
    worker.signal(Signal::SIGCONT);
    worker.wait_for_log("this worker did not run for a while", DEADLINE);
    queue.enqueue(&[("url", sink.url("/ok"))]);
    sink.wait_for(1, DEADLINE);
    assert!(worker.stop().success());
    let log = worker.log().join("\n");
    assert!(!log.contains("clock has jumped"), "{log}");
}
