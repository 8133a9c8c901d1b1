//! Tests of how a worker ends: nothing is lost, and what can be finished is, in both builds.

use e2e::process::{Build, Postrider, Signal};
use e2e::redis::RedisServer;
use e2e::wait::DEADLINE;
use e2e::world::World;

e2e::in_both_builds!(
    an_idle_worker_ends_at_once,
    a_request_that_runs_is_finished_and_settled,
    a_killed_worker_loses_nothing,
    a_request_that_hangs_is_cut_and_handed_back,
);

fn an_idle_worker_ends_at_once(build: Build) {
    let redis = RedisServer::start();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut worker = Postrider::ready_worker(build, &redis, &["--shutdown-timeout", "60s"], &[]);
        worker.signal(signal);
        assert_eq!(worker.wait_exit(DEADLINE).code(), Some(0), "{signal}");
    }
}

fn a_request_that_runs_is_finished_and_settled(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let mut worker = world.worker(&[]);
    queue.enqueue(&[("url", sink.url("/slow/1000"))]);
    sink.wait_for(1, DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
    assert_eq!(queue.drained(), Ok(()));
    assert_eq!((sink.requests().len(), queue.dead().len()), (1, 0));
}

fn a_killed_worker_loses_nothing(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let mut first = world.worker(&["--lease", "1s"]);
    queue.enqueue(&[("url", sink.url("/slow/2000")), ("body", "hello".to_owned())]);
    sink.wait_for(1, DEADLINE);
    first.kill();
    assert_eq!(queue.depth(), 1);
    let _second = world.worker(&["--lease", "1s"]);
    let requests = sink.wait_for(2, DEADLINE);
    assert!(requests.iter().all(|request| request.body == "hello"));
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (2, 0));
}

fn a_request_that_hangs_is_cut_and_handed_back(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let arguments = ["--shutdown-timeout", "500ms"];
    let mut first = world.worker(&arguments);
    queue.enqueue(&[("url", sink.url("/hang")), ("max_attempts", "1".to_owned())]);
    sink.wait_for(1, DEADLINE);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.wait_exit(DEADLINE).code(), Some(0));
    assert_eq!(
        (queue.pending(), queue.dead().len()),
        (0, 0),
        "no lease is left and nothing is dead-lettered"
    );
    // The job still has its one attempt, and the new worker need not wait for a lease to end.
    let _second = world.worker(&arguments);
    sink.wait_for(2, DEADLINE);
    assert_eq!(queue.dead().len(), 0);
}

#[test]
fn sigquit_cuts_what_hangs_and_user_signals_are_ignored() {
    let world = World::new(Build::Lean);
    let mut worker = world.worker(&["--shutdown-timeout", "10m"]);
    world.queue().enqueue(&[("url", world.sink.url("/hang")), ("timeout_ms", "3600000".to_owned())]);
    world.sink.wait_for(1, DEADLINE);
    for (signal, name) in [(Signal::SIGUSR1, "SIGUSR1"), (Signal::SIGUSR2, "SIGUSR2")] {
        worker.signal(signal);
        worker.wait_for_log(&format!("{name} is ignored"), DEADLINE);
    }
    worker.signal(Signal::SIGQUIT);
    assert_eq!(worker.wait_exit(DEADLINE).code(), Some(0));
    let queue = world.queue();
    assert_eq!((queue.pending(), queue.depth(), queue.dead().len()), (0, 1, 0), "it was handed back");
}
