//! Memory: what large jobs may use of it.

use std::time::Duration;

use e2e::quick_sink::QuickSink;
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[Case {
    name: "two_hundred_jobs_of_4_megabytes",
    does: "200 valid jobs of 4 MiB for destinations that take 3 s, 256 slots, and 64 MiB for jobs in flight",
    expects: "all are delivered, and the worker never uses 256 MiB",
    run: large_jobs,
}];

fn large_jobs() -> String {
    const JOBS: usize = 200;
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), QuickSink::start(Duration::from_secs(3)));
    let body = vec![b'x'; (4 << 20) - 1024];
    for number in 0..JOBS {
        let flow = format!("flow-{number}").into_bytes();
        queue.enqueue(&[("url", sink.url().as_bytes()), ("flow", &flow), ("body", &body)]);
    }
    let worker = world.worker(&["--concurrency", "256", "--max-bytes-in-flight", "64MiB"]);
    queue.wait_until_drained(Duration::from_secs(180));
    assert_eq!((sink.requests(), queue.dead().len()), (JOBS, 0));
    let peak = worker.peak_memory() >> 20;
    assert!(peak < 256, "{peak} MiB");
    format!("the worker's peak was {peak} MiB")
}
