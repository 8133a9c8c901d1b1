//! The pace that a destination and the machine allow.

use std::time::{Duration, Instant};

use e2e::sink::Sink;
use e2e::wait::DEADLINE;
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_limit_that_nobody_knows",
        does: "3,000 jobs of one flow, whose destination answers 429 beyond 5 requests a second (10 minutes)",
        expects: "all are delivered with at most 1.5 requests each, and none is dead-lettered",
        run: unknown_limit,
    },
    Case {
        name: "too_few_descriptors",
        does: "`ulimit -n 36`, 40 destinations, 300 jobs with 3 attempts",
        expects: "each is delivered with one request, and no breaker opens",
        run: descriptors,
    },
];

fn unknown_limit() -> String {
    const JOBS: usize = 3000;
    let world = World::new(BUILD);
    let queue = world.queue();
    let worker = world.worker(&[]);
    for number in 0..JOBS {
        queue.enqueue(&[("url", world.sink.url(&format!("/rate/5?{number}")))]);
    }
    let began = Instant::now();
    queue.wait_until_drained(Duration::from_secs(1200));
    let (requests, dead) = (world.sink.requests().len(), queue.dead().len());
    let each = requests as f64 / JOBS as f64;
    let measured = format!("{each:.2} requests a job, {dead} dead, {:.0?}", began.elapsed());
    assert!(dead == 0 && each <= 1.5, "{measured}\n{}", worker.log().join("\n"));
    measured
}

fn descriptors() -> String {
    const JOBS: usize = 300;
    let world = World::new(BUILD);
    let (queue, sinks) = (world.queue(), [(); 40].map(|()| Sink::start()));
    let worker = world.worker_through(&["prlimit", "--nofile=36:36"], &["--max-attempts", "3"]);
    let began = Instant::now();
    for number in 0..JOBS {
        queue.enqueue(&[("url", sinks[number % sinks.len()].url("/slow/50"))]);
    }
    queue.wait_until_drained(DEADLINE);
    let log = worker.log().join("\n");
    let requests: usize = sinks.iter().map(|sink| sink.requests().len()).sum();
    assert_eq!((requests, queue.dead().len()), (JOBS, 0), "{log}");
    assert!(!log.contains("the destination does not answer"), "{log}");
    format!("{JOBS} of {JOBS} delivered after {:.1?}", began.elapsed())
}
