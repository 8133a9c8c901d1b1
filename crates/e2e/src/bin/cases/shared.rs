//! Shared places that one job, client or peer could hold.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use e2e::hostile::{Behaviour, Hostile};
use e2e::http_call::exchange;
use e2e::process::Postrider;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "slots_full_of_failures_when_the_group_is_lost",
        does: "8 slots full of jobs that end in 503; then FLUSHALL, DEL of the stream, or XGROUP DESTROY",
        expects: "a new job is delivered within 2 s of its predecessors' answers",
        run: group_is_lost,
    },
    Case {
        name: "a_suspect_that_hangs",
        does: "two workers are killed with a job that hangs for an hour and 20 others in flight",
        expects: "the next worker tries the 20 within 15 s, lease and takeover included",
        run: suspect_hangs,
    },
    Case {
        name: "half_requests_to_the_probes",
        does: "200 clients send half of a request head to the probes' port and wait",
        expects: "/livez answers within 100 ms, for 25 s",
        run: half_requests,
    },
    Case {
        name: "a_log_that_nobody_reads",
        does: "standard error is a pipe that nobody reads, and 2,000 jobs are answered with 404",
        expects: "all jobs end, SIGTERM works, and lost lines are counted once somebody reads",
        run: unread_log,
    },
    Case {
        name: "interim_responses_without_end",
        does: "a destination sends `100 Continue` for ever on 4 connections",
        expects: "200 jobs for another destination are delivered, the 99th percentile within 50 ms",
        run: interim_responses,
    },
];

fn group_is_lost() {
    let losses: [&[&str]; 3] = [
        &["FLUSHALL"],
        &["DEL", "postrider:{default}:jobs"],
        &["XGROUP", "DESTROY", "postrider:{default}:jobs", "postrider"],
    ];
    for loss in losses {
        let world = World::new(BUILD);
        let (queue, sink) = (world.queue(), &world.sink);
        let _worker = world.worker(&["--concurrency", "8"]);
        for number in 0..8 {
            queue.enqueue(&[("url", sink.url(&format!("/flaky/1/{number}/1000")))]);
        }
        sink.wait_for(8, DEADLINE);
        world.redis.command(loss);
        wait::unless_interrupted(Duration::from_secs(1));
        queue.enqueue(&[("url", sink.url("/ok?new"))]);
        sink.wait_for_path("/ok?new", 1, Duration::from_secs(2));
    }
}

fn suspect_hangs() {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let arguments = ["--lease", "1s", "--concurrency", "64"];
    queue.enqueue(&[("url", sink.url("/hang").as_str()), ("timeout_ms", "3600000")]);
    for number in 0..20 {
        let flow = format!("host-{number}");
        queue.enqueue(&[
            ("url", sink.url("/slow/60000").as_str()),
            ("flow", &flow),
            ("timeout_ms", "120000"),
        ]);
    }
    for kill in 1..=2 {
        let mut worker = world.worker(&arguments);
        sink.wait_for(21 * kill, DEADLINE);
        worker.kill();
    }
    let _worker = world.worker(&arguments);
    // A lease and a takeover of all of them come first.
    wait::eventually_or("the jobs beside the suspect are tried", Duration::from_secs(15), || {
        match sink.requests_to("/slow/60000").len() {
            60.. => Ok(()),
            count => Err(format!("{count} requests")),
        }
    });
}

fn half_requests() {
    let world = World::new(BUILD);
    let mut worker = world.worker(&["--listen", "127.0.0.1:0"]);
    let line = worker.wait_for_log("status listens on http://", DEADLINE);
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.and_then(|address| address.parse().ok()).expect("the line has the address");
    let clients: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut client = TcpStream::connect(address).expect("the worker accepts");
            client.write_all(b"GET /livez HTTP/1.1\r\nhost: ").expect("the worker reads");
            client
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(25);
    while Instant::now() < end {
        let began = Instant::now();
        let answer = exchange(address, "GET", "/livez", &[], b"", Duration::from_secs(5));
        assert_eq!(answer.expect("an answer").status, 200);
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
        wait::unless_interrupted(Duration::from_millis(100));
    }
    drop(clients);
}

fn unread_log() {
    const JOBS: usize = 2000;
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let mut worker = Postrider::unread_worker(BUILD, &world.redis, &[], &[("POSTRIDER_LOG", "trace")]);
    for _ in 0..JOBS {
        queue.enqueue(&[("url", sink.url("/status/404"))]);
    }
    sink.wait_for(JOBS, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(worker.exited(), None);
    worker.read_log();
    worker.wait_for_log("log lines were dropped", DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
}

fn interim_responses() {
    const JOBS: usize = 200;
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    let flood = Hostile::start(Behaviour::Drip(Vec::new(), interim, Duration::ZERO), None);
    let _worker = world.worker(&[]);
    let url = format!("http://127.0.0.1:{}/", flood.port());
    for _ in 0..4 {
        queue.enqueue(&[("url", url.as_str()), ("timeout_ms", "3600000")]);
    }
    wait::eventually("a flood", DEADLINE, || (!flood.heads().is_empty()).then_some(()));
    let mut delays: Vec<Duration> = (0..JOBS)
        .map(|number| {
            let path = format!("/ok?{number}");
            let began = Instant::now();
            queue.enqueue(&[("url", sink.url(&path))]);
            let request = sink.wait_for_path(&path, 1, DEADLINE).remove(0);
            request.arrived.saturating_duration_since(began)
        })
        .collect();
    delays.sort_unstable();
    let slow = delays[JOBS * 99 / 100];
    assert!(slow < Duration::from_millis(50), "the 99th percentile is {slow:?}");
}
