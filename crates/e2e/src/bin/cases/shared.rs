//! Shared places that one job, client or peer could hold.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use e2e::hostile::{Behaviour, Hostile};
use e2e::http_call::exchange;
use e2e::process::Postrider;
use e2e::proxy::{Mode, Proxy};
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "slots_full_of_failures_when_the_group_is_lost",
        does: "8 slots full of jobs that end in 503; then FLUSHALL, DEL of the stream, XGROUP DESTROY, or a restart of Redis",
        expects: "a new job is delivered within 2 s, once the slots have ended",
        run: group_is_lost,
    },
    Case {
        name: "suspects_that_hang",
        does: "two workers are killed with 5 jobs that hang for an hour and 20 others in flight",
        expects: "the next worker tries the 20 within 12 s, lease and takeover included",
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

fn group_is_lost() -> String {
    let jobs = "postrider:{default}:jobs";
    let losses: [&[&str]; 4] =
        [&["FLUSHALL"], &["DEL", jobs], &["XGROUP", "DESTROY", jobs, "postrider"], &["restart"]];
    let mut slowest = Duration::ZERO;
    for loss in losses {
        let mut world = World::new(BUILD);
        let _worker = world.worker(&["--concurrency", "8"]);
        // Flows that have answered may fill all slots.
        for (round, path) in ["/ok", "/flaky/1"].into_iter().enumerate() {
            for number in 0..8 {
                let (url, flow) =
                    (world.sink.url(&format!("{path}/{number}/1000")), format!("host-{number}"));
                world.queue().enqueue(&[("url", url.as_str()), ("flow", &flow)]);
            }
            world.sink.wait_for(8 * (round + 1), DEADLINE);
        }
        match loss {
            ["restart"] => world.redis.restart(),
            command => drop(world.redis.command(command)),
        }
        wait::unless_interrupted(Duration::from_secs(1));
        let began = Instant::now();
        world.queue().enqueue(&[("url", world.sink.url("/ok?new").as_str()), ("flow", "new")]);
        world.sink.wait_for_path("/ok?new", 1, Duration::from_secs(2));
        slowest = slowest.max(began.elapsed());
    }
    format!("the new job was sent after at most {slowest:.1?}")
}

fn suspect_hangs() -> String {
    const HANGING: usize = 5;
    const OTHERS: usize = 20;
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    // The others hang too, until the third worker starts: they are in flight when the first two are killed.
    let proxy = Proxy::start(sink.address().port());
    proxy.set(Mode::HalfOpen);
    let arguments = ["--lease", "1s", "--concurrency", "64"];
    for number in 0..HANGING + OTHERS {
        let url =
            if number < HANGING { sink.url("/hang") } else { format!("{}/ok?{number}", proxy.http_url()) };
        let flow = format!("host-{number}");
        queue.enqueue(&[("url", url.as_str()), ("flow", &flow), ("timeout_ms", "3600000")]);
    }
    for kill in 1..=2 {
        let mut worker = world.worker(&arguments);
        sink.wait_for(HANGING * kill, DEADLINE);
        wait::eventually("all are in flight", DEADLINE, || {
            (queue.pending() == (HANGING + OTHERS) as i64).then_some(())
        });
        wait::unless_interrupted(Duration::from_secs(1));
        worker.kill();
    }
    proxy.set(Mode::Pass);
    let _worker = world.worker(&arguments);
    let began = Instant::now();
    // A lease and a takeover of all of them come first.
    wait::eventually_or("the jobs beside the suspects are tried", Duration::from_secs(12), || {
        match sink.requests().iter().filter(|request| request.path.starts_with("/ok")).count() {
            OTHERS.. => Ok(()),
            count => Err(format!("{count} requests")),
        }
    });
    format!("all {OTHERS} were tried after {:.1?}", began.elapsed())
}

fn half_requests() -> String {
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
    let mut slowest = Duration::ZERO;
    while Instant::now() < end {
        let began = Instant::now();
        let answer = exchange(address, "GET", "/livez", &[], b"", Duration::from_secs(5));
        assert_eq!(answer.expect("an answer").status, 200);
        slowest = slowest.max(began.elapsed());
        wait::unless_interrupted(Duration::from_millis(100));
    }
    drop(clients);
    assert!(slowest < Duration::from_millis(100), "an answer took {slowest:?}");
    format!("the slowest answer took {slowest:.1?}")
}

fn unread_log() -> String {
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
    let line = worker.wait_for_log("log lines were dropped", DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
    format!("all {JOBS} jobs ended; {line}")
}

fn interim_responses() -> String {
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
    format!("the 99th percentile is {slow:.1?}")
}
