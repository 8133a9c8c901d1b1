//! A worker with several threads: each takes jobs, and all end together.

use std::time::Duration;

use e2e::process::{Build, Postrider, Signal};
use e2e::resp::Reply;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;

e2e::in_both_builds!(
    each_thread_is_a_worker_of_its_process,
    the_slots_of_all_threads_are_those_of_the_process,
    every_thread_reads_a_changed_configuration,
    a_start_that_fails_ends_all_threads,
);

const THREADS: usize = 3;
/// It responds after a second.
const DURATION: &str = "/slow/1000";

fn worker(world: &World, more: &[&str]) -> Postrider {
    let worker = world.worker(&[&["--threads", "3"], more].concat());
    every_thread_logs(&worker, "worker is ready");
    worker
}

fn every_thread_logs(worker: &Postrider, part: &str) {
    eventually("every thread", DEADLINE, || {
        let lines = worker.log().iter().filter(|line| line.contains(part)).count();
        (lines == THREADS).then_some(())
    });
}

/// The names of the consumers of the queue.
fn consumers(world: &World) -> Vec<String> {
    let reply = world.redis.command(&["XINFO", "CONSUMERS", "postrider:{default}:jobs", "postrider"]);
    if matches!(reply, Reply::Error(_)) {
        return vec![];
    }
    reply.array().iter().filter_map(|fields| Some(fields.array().get(1)?.text())).collect()
}

fn each_thread_is_a_worker_of_its_process(build: Build) {
    let world = World::new(build);
    let mut worker = worker(&world, &["--concurrency", "3"]);
    for _ in 0..THREADS {
        world.queue().enqueue(&[("url", world.sink.url(DURATION))]);
    }
    // Each thread has one slot.
    world.sink.wait_for(THREADS, DEADLINE);
    let (names, pid) = (consumers(&world), format!("-{}-", worker.pid()));
    assert_eq!(names.iter().filter(|name| name.contains(&pid)).count(), THREADS, "{names:?}");
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.wait_exit(DEADLINE).code(), Some(0), "{}", worker.log().join("\n"));
    assert_eq!((world.sink.requests().len(), consumers(&world)), (THREADS, vec![]));
    world.queue().wait_until_drained(DEADLINE);
}

fn the_slots_of_all_threads_are_those_of_the_process(build: Build) {
    const SLOTS: usize = 4;
    let world = World::new(build);
    let worker = worker(&world, &["--concurrency", "4"]);
    let log = worker.log();
    let slots: Vec<usize> = log
        .iter()
        .filter_map(|line| line.split("\"concurrency\":").nth(1)?.split(',').next()?.parse().ok())
        .collect();
    assert_eq!((slots.len(), slots.iter().sum()), (THREADS, SLOTS), "{}", log.join("\n"));
    for _ in 0..2 * SLOTS {
        world.queue().enqueue(&[("url", world.sink.url(DURATION))]);
    }
    let mut arrived: Vec<_> =
        world.sink.wait_for(2 * SLOTS, DEADLINE).iter().map(|request| request.arrived).collect();
    arrived.sort();
    assert!(arrived[SLOTS] - arrived[0] >= Duration::from_secs(1), "one more than the slots: {arrived:?}");
    world.queue().wait_until_drained(DEADLINE);
}

fn every_thread_reads_a_changed_configuration(build: Build) {
    let world = World::new(build);
    let file = TextFile::new("[retry.quick]\nwaits = [\"1s\"]\n");
    let mut worker = worker(&world, &["--config", file.path()]);
    worker.signal(Signal::SIGHUP);
    every_thread_logs(&worker, "read again");
    assert_eq!(worker.stop().code(), Some(0));
}

fn a_start_that_fails_ends_all_threads(build: Build) {
    let world = World::new(build);
    world.redis.command(&["SET", "postrider:{default}:jobs", "not a stream"]);
    let arguments = ["worker", "--threads", "3", "--redis-url", &world.redis.url()];
    let output = Postrider::run(build, &arguments, &[], DEADLINE);
    assert_eq!(output.code(), 4, "{output:?}");
    let output = Postrider::run(build, &["worker", "--threads", "3", "--concurrency", "2"], &[], DEADLINE);
    assert_eq!(
        (output.code(), output.stderr.contains("--concurrency of at least 3")),
        (2, true),
        "{output:?}"
    );
}
