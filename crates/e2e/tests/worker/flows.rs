//! Flows: a destination that is dead, slow or limited delays its own jobs and no others.

use std::time::{Duration, Instant};

use e2e::process::{Build, Postrider};
use e2e::proxy::{Mode, Proxy};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::{Sink, SinkRequest};
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually, eventually_or};
use e2e::world::World;

e2e::in_both_builds!(
    a_destination_that_hangs_holds_few_slots,
    a_breaker_opens_and_its_jobs_wait_at_no_cost_of_an_attempt,
    concurrency_is_limited_over_all_workers,
    a_rate_is_limited_over_all_workers,
    held_jobs_outlive_their_worker,
    held_jobs_expire,
    a_trial_passes_a_limit_of_concurrency,
    nothing_is_left_of_a_flow,
    a_refusal_of_redis_keeps_no_slot,
    jobs_of_a_long_stream_are_not_held_first,
);

const FAST: [&str; 6] = ["--lease", "1s", "--retry-base", "50ms", "--retry-cap", "1s"];

fn configured(build: Build, redis: &RedisServer, config: &TextFile, more: &[&str]) -> Postrider {
    Postrider::ready_worker(build, redis, &[&FAST, &["--config", config.path()][..], more].concat(), &[])
}

/// The most requests that came within any stretch of `time`.
fn most_within(requests: &[SinkRequest], time: Duration) -> usize {
    let of = |first: &SinkRequest| {
        let within =
            |other: &&SinkRequest| other.arrived >= first.arrived && other.arrived - first.arrived < time;
        requests.iter().filter(within).count()
    };
    requests.iter().map(of).max().unwrap_or(0)
}

/// Most slots are left to other destinations from the start, before any request has failed.
fn a_destination_that_hangs_holds_few_slots(build: Build) {
    const JOBS: usize = 100;
    let (redis, dead, good) = (RedisServer::start(), Sink::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    for number in 0..JOBS {
        queue.enqueue(&[("url", dead.url("/hang"))]);
        queue.enqueue(&[("url", good.url(&format!("/ok?{number}")))]);
    }
    // With no flows, 16 jobs would hang in all slots for 20 s, and then the next 16.
    // Each thread tries the destination.
    let arguments = ["--concurrency", "16", "--threads", "1", "--timeout", "20s", "--shutdown-timeout", "0s"];
    let mut worker = Postrider::ready_worker(build, &redis, &[&FAST[..], &arguments].concat(), &[]);
    let began = Instant::now();
    good.wait_for(JOBS, DEADLINE);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(dead.requests().len() <= 5, "{} requests hang", dead.requests().len());
    eventually_or("the rest is held", DEADLINE, || match queue.held() {
        held if held >= JOBS as i64 - 5 => Ok(()),
        held => Err(held),
    });
    assert_eq!(worker.stop().code(), Some(0));
}

fn a_breaker_opens_and_its_jobs_wait_at_no_cost_of_an_attempt(build: Build) {
    const JOBS: usize = 40;
    let world = World::new(build);
    let sink = &world.sink;
    let (queue, down) = (world.queue(), Proxy::start_down(sink.address().port()));
    let url = down.http_url();
    let config = TextFile::new(
        "[flows.default]\nbreaker_failures = 3\nbreaker_pause = \"300ms\"\nbreaker_longest = \"600ms\"\n",
    );
    let mut worker =
        configured(build, &world.redis, &config, &["--concurrency", "4", "--max-attempts", "20"]);
    for number in 0..JOBS {
        queue.enqueue(&[("url", format!("{url}/?{number}"))]);
    }
    worker.wait_for_log("the destination does not answer", DEADLINE);
    eventually("its jobs are held", DEADLINE, || (queue.held() >= JOBS as i64 - 10).then_some(()));
    // One trial after each pause, of at least 225 ms and then 450 ms.
    let (began, before) = (Instant::now(), down.struck());
    down.wait_for_strike(before + 3, DEADLINE);
    assert!(began.elapsed() > Duration::from_millis(900), "four trials in {:?}", began.elapsed());
    down.set(Mode::Pass);
    worker.wait_for_log("the destination answers again", DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (JOBS, 0));
    assert_eq!(worker.stop().code(), Some(0));
}

fn concurrency_is_limited_over_all_workers(build: Build) {
    const JOBS: usize = 40;
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let config = TextFile::new("[flows.orders]\nconcurrency = 3\nbreaker_failures = 0\n");
    let _workers = [(); 2].map(|()| configured(build, &world.redis, &config, &["--concurrency", "8"]));
    for _ in 0..JOBS {
        queue.enqueue(&[("url", sink.url("/slow/100").as_str()), ("flow", "orders")]);
    }
    let requests = sink.wait_for(JOBS, DEADLINE);
    // Each request takes at least 100 ms.
    let at_once = most_within(&requests, Duration::from_millis(100));
    assert!((2..=3).contains(&at_once), "{at_once} at once");
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (JOBS, 0));
}

fn a_rate_is_limited_over_all_workers(build: Build) {
    const JOBS: usize = 50;
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let flow = sink.address().to_string();
    let text = format!("[flows.\"{flow}\"]\nrate = \"20/s\"\nburst = 10\n");
    let config = TextFile::new(&text);
    let _workers = [(); 2].map(|()| configured(build, &world.redis, &config, &["--concurrency", "8"]));
    for number in 0..JOBS {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{number:03}")))]);
    }
    let requests = sink.wait_for(JOBS, DEADLINE);
    let (first, last) = (requests[0].arrived, requests[JOBS - 1].arrived);
    // 10 at once, and the other 40 at 20 a second.
    assert!(last - first >= Duration::from_millis(1800), "{:?}", last - first);
    assert!(most_within(&requests, Duration::from_secs(1)) <= 10 + 20 + 2);
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (JOBS, 0));
}

/// Another worker admits the jobs that one worker has held.
fn held_jobs_outlive_their_worker(build: Build) {
    const JOBS: usize = 30;
    let world = World::new(build);
    let sink = &world.sink;
    let (queue, down) = (world.queue(), Proxy::start_down(sink.address().port()));
    let url = down.http_url();
    let mut first = world.worker(&FAST);
    for number in 0..JOBS {
        queue.enqueue(&[("url", format!("{url}/?{number}")), ("max_attempts", "100".to_owned())]);
    }
    first.wait_for_log("the destination does not answer", DEADLINE);
    eventually("jobs are held", DEADLINE, || (queue.held() > 0).then_some(()));
    first.kill();
    down.set(Mode::Pass);
    let _second = world.worker(&FAST);
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (JOBS, 0));
}

/// No job waits for ever for a destination that does not recover.
fn held_jobs_expire(build: Build) {
    const JOBS: usize = 30;
    let world = World::new(build);
    let sink = &world.sink;
    let (queue, down) = (world.queue(), Proxy::start_down(sink.address().port()));
    let url = down.http_url();
    let config = TextFile::new("[retry.default]\nbase = \"50ms\"\nmax_age = \"4s\"\n");
    let _worker = configured(build, &world.redis, &config, &[]);
    for number in 0..JOBS {
        queue.enqueue(&[("url", format!("{url}/?{number}"))]);
    }
    queue.wait_until_drained(DEADLINE);
    let reasons: Vec<String> = queue.dead().iter().map(|letter| letter.reason()).collect();
    assert_eq!(reasons, vec!["expired"; JOBS]);
    assert_eq!(sink.requests().len(), 0);
}

/// The breaker grants a trial; the flow's limit of concurrency, which asks for the same attempt, must not refuse it.
fn a_trial_passes_a_limit_of_concurrency(build: Build) {
    const JOBS: usize = 20;
    let world = World::new(build);
    let sink = &world.sink;
    let (queue, down) = (world.queue(), Proxy::start_down(sink.address().port()));
    let url = down.http_url();
    let config = TextFile::new(
        "[flows.default]\nconcurrency = 2\nbreaker_failures = 2\nbreaker_pause = \"200ms\"\n\
         breaker_longest = \"400ms\"\n",
    );
    let mut worker = configured(build, &world.redis, &config, &["--max-attempts", "50"]);
    for number in 0..JOBS {
        queue.enqueue(&[("url", format!("{url}/?{number}"))]);
    }
    worker.wait_for_log("the destination does not answer", DEADLINE);
    // Trials are made one after another, and none is lost for half a minute.
    down.wait_for_strike(down.struck() + 4, Duration::from_secs(20));
    down.set(Mode::Pass);
    worker.wait_for_log("the destination answers again", Duration::from_secs(20));
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (JOBS, 0));
}

/// Flows come and go with the destinations of jobs: their keys must not stay.
fn nothing_is_left_of_a_flow(build: Build) {
    const JOBS: usize = 40;
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let (queue, down) = (world.queue(), Proxy::start_down(sink.address().port()));
    let url = down.http_url();
    let config = TextFile::new(
        "[flows.default]\nbreaker_pause = \"200ms\"\nbreaker_longest = \"200ms\"\n\
         [flows.orders]\nconcurrency = 2\nrate = \"50/s\"\nburst = 1\n",
    );
    let mut worker = configured(build, redis, &config, &["--max-attempts", "50"]);
    for number in 0..JOBS {
        queue.enqueue(&[("url", format!("{url}/?{number}"))]);
        queue.enqueue(&[("url", sink.url("/ok").as_str()), ("flow", "orders")]);
    }
    worker.wait_for_log("the destination does not answer", DEADLINE);
    eventually("jobs are held", DEADLINE, || (queue.held() > 0).then_some(()));
    down.set(Mode::Pass);
    sink.wait_for(2 * JOBS, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    let keys = |pattern: &str| -> Vec<String> {
        redis.command(&["KEYS", pattern]).array().iter().map(|key| key.text()).collect()
    };
    eventually_or("no flow holds jobs back", DEADLINE, || match keys("postrider:{default}:flow*") {
        left if left.is_empty() => Ok(()),
        left => Err(left.join(" ")),
    });
    let shared = keys("postrider:flow:*");
    assert!(!shared.is_empty(), "the shared state of a limited flow is kept for a while");
    for key in shared {
        assert!((1..=7_200_000).contains(&redis.command(&["PTTL", &key]).integer()), "{key}");
    }
}

/// A key of a wrong type delays the jobs of a flow with limits, and no others.
fn a_refusal_of_redis_keeps_no_slot(build: Build) {
    const JOBS: usize = 20;
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    let config = TextFile::new("[flows.orders]\nrate = \"1000/s\"\n");
    let mut worker = configured(build, redis, &config, &["--concurrency", "4", "--threads", "1"]);
    let key = || redis.command(&["EVAL", "return string.sub(redis.sha1hex('orders'), 1, 16)", "0"]).text();
    let key = format!("postrider:flow:{{{}}}", key());
    redis.command(&["SET", &key, "of another type"]);
    for _ in 0..JOBS {
        queue.enqueue(&[("url", sink.url("/ok?limited").as_str()), ("flow", "orders")]);
    }
    queue.enqueue(&[("url", sink.url("/ok?other"))]);
    sink.wait_for_path("/ok?other", 1, DEADLINE);
    eventually("all are held", DEADLINE, || (queue.held() == JOBS as i64).then_some(()));
    assert_eq!(sink.requests().len(), 1);
    redis.command(&["DEL", &key]);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), JOBS + 1);
    let logged = worker.log().iter().filter(|line| line.contains("WRONGTYPE")).count();
    assert_eq!(logged, 1, "{}", worker.log().join("\n"));
    assert_eq!(worker.stop().code(), Some(0));
}

#[test]
fn a_flow_key_has_a_length() {
    let world = World::new(Build::Otel);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&FAST);
    for flow in ["", &"x".repeat(257)] {
        queue.enqueue(&[("url", sink.url("/ok").as_str()), ("flow", flow)]);
    }
    queue.enqueue(&[("url", sink.url("/ok").as_str()), ("flow", &"é".repeat(100))]);
    queue.wait_until_drained(DEADLINE);
    let errors: Vec<_> = queue.dead().iter().filter_map(|letter| letter.field("_error")).collect();
    assert_eq!(errors, vec!["field `flow` must be 1 to 256 bytes"; 2]);
    assert_eq!(sink.requests().len(), 1);
}

/// A held job returns at the end of the stream. If all jobs before it were held too, because others wait, a hiccup
/// would cost a backlog several calls a job, and the destination would get no job until the stream's end is reached.
fn jobs_of_a_long_stream_are_not_held_first(build: Build) {
    const JOBS: usize = 3000;
    const HELD: usize = 40;
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    let host = sink.address().to_string();
    let flow =
        redis.command(&["EVAL", "return string.sub(redis.sha1hex(ARGV[1]), 1, 16)", "0", &host]).text();
    for number in 0..HELD {
        queue.postpone(&flow, &format!("7-{number}"), &[("url", &sink.url("/ok?held"))]);
    }
    for _ in 0..JOBS {
        queue.enqueue(&[("url", sink.url("/ok"))]);
    }
    let written = || {
        let stats = redis.command(&["INFO", "commandstats"]).text();
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_zadd:calls="));
        calls.map_or(0, |calls| {
            calls.split(',').next().unwrap_or_default().parse::<usize>().expect("a number")
        })
    };
    let before = written();
    let mut worker = world.worker(&FAST);
    sink.wait_for(JOBS + HELD, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    // To hold a job takes two. On a busy machine the destination is slow, so that some are held.
    let held = (written() - before) / 2;
    assert!(held < JOBS, "{held} of {JOBS} jobs were held");
    assert_eq!(worker.stop().code(), Some(0));
}
