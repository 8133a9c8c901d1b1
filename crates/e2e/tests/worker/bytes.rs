//! Tests of the limits in bytes: of a job, and of all jobs in flight.

use std::time::Duration;

use e2e::process::Build;
use e2e::queue::Queue;
use e2e::quick_sink::QuickSink;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;

const BUILD: Build = Build::Lean;
/// The largest body by default, nearly.
const LARGE: usize = (4 << 20) - 1024;

#[test]
fn large_jobs_use_no_more_memory_than_they_may() {
    const JOBS: usize = 40;
    const BUDGET: usize = 32 << 20;
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), QuickSink::start(Duration::from_millis(500)));
    let body = vec![b'x'; LARGE];
    for number in 0..JOBS {
        let flow = format!("flow-{number}").into_bytes();
        queue.enqueue(&[("url", sink.url().as_bytes()), ("flow", &flow), ("body", &body)]);
        queue.enqueue(&[("url", sink.url().as_bytes()), ("flow", &flow)]);
    }
    let limit = ["--max-bytes-in-flight", "32MiB", "--threads", "1"];
    let worker = world.worker(&[&["--concurrency", "256"], &limit[..]].concat());
    eventually("all jobs", DEADLINE, || (sink.requests() >= 2 * JOBS).then_some(()));
    queue.wait_until_drained(DEADLINE);
    // Without the limit, more than 300 MiB. A program without jobs has about 20 MiB.
    let peak = worker.peak_memory();
    assert!(peak < 4 * BUDGET, "{} MiB", peak >> 20);
    assert!(worker.log().iter().any(|line| line.contains(&format!("\"bytes_in_flight_max\":{BUDGET}"))));
}

#[test]
fn jobs_that_cannot_be_settled_leave_their_bytes_to_other_queues() {
    let world = World::new(BUILD);
    let (broken, healthy) = (Queue::new(&world.redis, "broken"), Queue::new(&world.redis, "healthy"));
    world.redis.command(&["SET", &broken.key("dead"), "of a wrong type"]);
    let body = vec![b'x'; LARGE];
    for _ in 0..8 {
        broken.enqueue(&[("url", world.sink.url("/status/404").as_bytes()), ("body", &body)]);
    }
    // After the jobs. The first read takes up to four; if it takes fewer, a fourth may find no room.
    // With a second thread, each would have half of the bytes, which one job uses up.
    let limit = ["--max-bytes-in-flight", "16MiB", "--threads", "1"];
    let _worker = world.worker(&[&["--queue", "broken", "--queue", "healthy"], &limit[..]].concat());
    world.sink.wait_for_path("/status/404", 3, DEADLINE);
    for number in 1..=5 {
        healthy.enqueue(&[("url", world.sink.url("/ok").as_bytes()), ("body", &body)]);
        world.sink.wait_for_path("/ok", number, DEADLINE);
    }
    world.redis.command(&["DEL", &broken.key("dead")]);
    broken.wait_until_drained(DEADLINE);
    assert_eq!(broken.dead().len(), 8);
}

#[test]
fn the_maximum_size_of_a_job_is_a_setting_also_in_redis() {
    let world = World::new(BUILD).with("POSTRIDER_MAX_JOB_BYTES", "8MiB");
    let (queue, url) = (world.queue(), world.sink.url("/slow/1000"));
    let (large, larger) = (vec![b'x'; 6 << 20], vec![b'x'; 9 << 20]);
    let mut killed = world.worker(&["--lease", "1s"]);
    queue.enqueue(&[("url", url.as_bytes()), ("body", &large)]);
    world.sink.wait_for(1, DEADLINE);
    killed.kill();
    let _worker = world.worker(&["--lease", "1s"]);
    queue.enqueue(&[("url", url.as_bytes()), ("body", &larger)]);
    let sent = world.sink.wait_for(2, DEADLINE);
    assert_eq!(sent[1].body.len(), large.len(), "it was taken over whole");
    queue.wait_until_drained(DEADLINE);
    let rejected = queue.rejected();
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].field("_error").is_some_and(|error| error.ends_with("at most 8388608")));
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &larger).expect("it can be written");
    let data = format!("@{}", file.path().display());
    let refused = world.run(&["send", &url, "--data", &data]);
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    let accepted = world.run(&["send", &url, "--data", &data, "--max-job-bytes", "10MiB"]);
    assert_eq!(accepted.code(), 0, "{}", accepted.stderr);
}
