//! Fairness between flows, and the judgement about a destination.

use std::time::{Duration, Instant};

use e2e::sink::SinkRequest;
use e2e::text_file::TextFile;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "hanging_destinations_beside_a_healthy_one",
        does: "200 flows that never answer, with 6 jobs each and a timeout of 10 s, beside one with 10 jobs a second",
        expects: "in every 5 s of 30 s, the healthy flow has at least nine tenths of its jobs",
        run: hanging_destinations,
    },
    Case {
        name: "short_deadlines_before_ordinary_jobs",
        does: "8 jobs with a timeout of 100 ms to a destination that takes 300 ms, then 200 ordinary jobs to it",
        expects: "the 200 jobs are delivered within 30 s",
        run: short_deadlines,
    },
    Case {
        name: "a_path_that_fails_on_a_host_that_works",
        does: "30 jobs for a path that answers 503, 4 s later 40 jobs for other paths of the host",
        expects: "the 40 jobs are delivered within 15 s",
        run: failing_path,
    },
    Case {
        name: "a_destination_asks_for_a_pause",
        does: "200 jobs of one flow; the first is answered with 429 and `Retry-After: 3`",
        expects: "nearly no other is sent within these 3 s, and all are delivered within 30 s",
        run: asks_for_a_pause,
    },
    Case {
        name: "hanging_jobs_among_good_ones",
        does: "8 jobs of a destination hang, beside one good job a second for 60 s",
        expects: "each good job is sent within 10 s",
        run: hanging_jobs,
    },
    Case {
        name: "held_jobs_with_an_age",
        does: "300 older jobs without a maximum age and 20 with 2 s, all of a flow that answers nothing",
        expects: "the 20 expire within 15 s",
        run: held_jobs_expire,
    },
];

/// Enqueues a job every `pause` for `time`; returns when each was enqueued.
fn steadily(world: &World, time: Duration, pause: Duration, path: impl Fn(usize) -> String) -> Vec<Instant> {
    let (queue, start) = (world.queue(), Instant::now());
    let mut enqueued = vec![];
    while start.elapsed() < time {
        queue.enqueue(&[("url", world.sink.url(&path(enqueued.len())))]);
        enqueued.push(Instant::now());
        let next = start + pause * u32::try_from(enqueued.len()).unwrap_or(u32::MAX);
        wait::unless_interrupted(next.saturating_duration_since(Instant::now()));
    }
    enqueued
}

fn of_path(world: &World, start: &str) -> Vec<SinkRequest> {
    world.sink.requests().into_iter().filter(|request| request.path.starts_with(start)).collect()
}

fn hanging_destinations() -> String {
    const WINDOW: Duration = Duration::from_secs(5);
    let world = World::new(BUILD);
    let queue = world.queue();
    let _worker = world.worker(&["--concurrency", "64", "--timeout", "10s"]);
    // It has answered within the last minute.
    queue.enqueue(&[("url", world.sink.url("/ok?first"))]);
    world.sink.wait_for(1, DEADLINE);
    let hang = world.sink.url("/hang");
    for _ in 0..6 {
        for host in 0..200 {
            queue.enqueue(&[("url", hang.as_str()), ("flow", &format!("host-{host}"))]);
        }
    }
    let enqueued = steadily(&world, Duration::from_secs(30), Duration::from_millis(100), |number| {
        format!("/ok?{number}")
    });
    let arrived = of_path(&world, "/ok");
    let mut worst: f64 = 1.0;
    for from in (0..25).map(|second| enqueued[0] + Duration::from_secs(second)) {
        let within = |at: Instant| at >= from && at < from + WINDOW;
        let expected = enqueued.iter().filter(|at| within(**at)).count();
        let found = arrived.iter().filter(|request| within(request.arrived)).count();
        worst = worst.min(found as f64 / expected as f64);
    }
    assert!(worst >= 0.9, "{worst:.2} of the jobs in the worst 5 s");
    format!("{worst:.2} of the jobs in the worst 5 s")
}

fn short_deadlines() -> String {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    for _ in 0..8 {
        queue.enqueue(&[("url", sink.url("/slow/300?short").as_str()), ("timeout_ms", "100")]);
    }
    sink.wait_for(8, DEADLINE);
    let began = Instant::now();
    for number in 0..200 {
        queue.enqueue(&[("url", sink.url(&format!("/slow/300?ordinary-{number}")))]);
    }
    wait::eventually_or("all ordinary jobs are sent", Duration::from_secs(30), || {
        match of_path(&world, "/slow/300?ordinary").len() {
            200.. => Ok(()),
            count => Err(format!("{count} requests after {:?}", began.elapsed())),
        }
    });
    format!("200 jobs after {:.1?}", began.elapsed())
}

fn failing_path() -> String {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    for _ in 0..30 {
        queue.enqueue(&[("url", sink.url("/status/503"))]);
    }
    wait::unless_interrupted(Duration::from_secs(4));
    let began = Instant::now();
    for number in 0..40 {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{number}")))]);
    }
    wait::eventually_or("the jobs of other paths are sent", Duration::from_secs(15), || {
        match of_path(&world, "/ok").len() {
            40.. => Ok(()),
            count => Err(format!("{count} requests")),
        }
    });
    format!("40 jobs after {:.1?}", began.elapsed())
}

fn asks_for_a_pause() -> String {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    let first = sink.url("/reply-once/first");
    queue.enqueue(&[("url", first.as_str()), ("body", "429\nretry-after: 3\n\n")]);
    let asked = sink.wait_for(1, DEADLINE)[0].arrived;
    for number in 0..200 {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{number}")))]);
    }
    wait::eventually_or("all jobs are sent", Duration::from_secs(30), || {
        match of_path(&world, "/ok").len() {
            200.. => Ok(()),
            count => Err(format!("{count} requests")),
        }
    });
    let pause = Duration::from_millis(2900);
    let early = of_path(&world, "/ok").iter().filter(|request| request.arrived < asked + pause).count();
    assert!(early <= 4, "{early} were sent within the pause");
    queue.wait_until_drained(DEADLINE);
    assert_eq!(queue.dead().len(), 0);
    format!("{early} were sent within the pause, all after {:.1?}", asked.elapsed())
}

fn hanging_jobs() -> String {
    let world = World::new(BUILD);
    let queue = world.queue();
    let _worker = world.worker(&["--timeout", "30s"]);
    for _ in 0..8 {
        queue.enqueue(&[("url", world.sink.url("/hang"))]);
    }
    let enqueued =
        steadily(&world, Duration::from_secs(60), Duration::from_secs(1), |number| format!("/ok?{number}"));
    wait::eventually_or("every good job is sent", Duration::from_secs(15), || {
        match of_path(&world, "/ok").len() {
            count if count >= enqueued.len() => Ok(()),
            count => Err(format!("{count} of {}", enqueued.len())),
        }
    });
    let waited = enqueued.iter().enumerate().map(|(number, at)| {
        world.sink.requests_to(&format!("/ok?{number}"))[0].arrived.saturating_duration_since(*at)
    });
    let longest = waited.max().expect("there are jobs");
    assert!(longest < Duration::from_secs(10), "a job waited {longest:?}");
    format!("the longest wait was {longest:.1?}")
}

fn held_jobs_expire() -> String {
    let world = World::new(BUILD);
    let (queue, nowhere) = (world.queue(), "http://127.0.0.1:9/");
    let config = TextFile::new("[retry.long]\nmax_attempts = 100\n[retry.short]\nmax_age = \"2s\"\n");
    let _worker = world.worker(&["--config", config.path()]);
    for (count, policy) in [(300, "long"), (20, "short")] {
        (0..count).for_each(|_| drop(queue.enqueue(&[("url", nowhere), ("retry", policy)])));
    }
    let began = Instant::now();
    wait::eventually_or("20 jobs expire", Duration::from_secs(15), || {
        match queue.dead().iter().filter(|letter| letter.reason() == "expired").count() {
            20 => Ok(()),
            count => Err(format!("{count}")),
        }
    });
    format!("20 jobs expired after {:.1?}", began.elapsed())
}
