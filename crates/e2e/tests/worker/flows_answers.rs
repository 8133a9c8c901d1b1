//! A flow judges its destination by the answers, and not by single jobs: jobs that fail for their own reasons do not
//! stop others, and a destination that asks to wait gets what it asks for.

use std::time::{Duration, Instant};

use e2e::hostile::{Behaviour, Hostile};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::{Sink, SinkRequest};
use e2e::text_file::TextFile;
use e2e::wait::{eventually, eventually_or};

const TEST_TIMEOUT: Duration = Duration::from_secs(15);

fn worker(redis: &RedisServer, more: &[&str]) -> Postrider {
    let arguments =
        ["--lease", "5s", "--shutdown-timeout", "0s", "--retry-base", "200ms", "--retry-cap", "2s"];
    Postrider::ready_worker(Build::Lean, redis, &[&arguments[..], more].concat(), &[])
}

/// Waits until all jobs of these paths were answered.
fn wait_for_paths(sink: &Sink, paths: &[String], deadline: Duration) {
    eventually_or("all paths are requested", deadline, || {
        let requests = sink.requests();
        let missing =
            paths.iter().filter(|path| !requests.iter().any(|request| request.path == **path)).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", paths.len())) }
    });
}

/// A breaker that pauses for longer than a test takes.
fn long_pause() -> TextFile {
    TextFile::new("[flows.default]\nbreaker_pause = \"2m\"\nbreaker_longest = \"2m\"\n")
}

/// Twelve jobs that give up earlier than their destination answers.
fn enqueue_with_short_deadlines(queue: &Queue<'_>, sink: &Sink) {
    for _ in 0..12 {
        queue.enqueue(&[("url", sink.url("/slow/300?short").as_str()), ("timeout_ms", "100")]);
    }
}

/// Jobs that give up earlier than the destination answers prove nothing about it, and are no trials.
#[test]
fn jobs_with_short_deadlines_do_not_stop_others() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let _worker = worker(&redis, &["--concurrency", "16"]);
    enqueue_with_short_deadlines(&queue, &sink);
    sink.wait_for(5, TEST_TIMEOUT);
    let paths: Vec<String> = (0..60).map(|number| format!("/slow/300?{number}")).collect();
    paths.iter().for_each(|path| drop(queue.enqueue(&[("url", sink.url(path))])));
    wait_for_paths(&sink, &paths, TEST_TIMEOUT);
}

/// Jobs that come during a trial are held, behind jobs of the kind that fails: one of them passes the breaker as soon as the
/// trial has ended. The pause of the breaker is longer than the test.
#[test]
fn a_held_job_of_another_kind_passes_after_a_trial() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let config = long_pause();
    let mut worker = worker(&redis, &["--concurrency", "16", "--config", config.path()]);
    enqueue_with_short_deadlines(&queue, &sink);
    worker.wait_for_log("the destination does not answer", TEST_TIMEOUT);
    let flows = redis.command(&["KEYS", "postrider:flow:*"]);
    let seconds: u64 = redis.command(&["TIME"]).array()[0].text().parse().expect("a number");
    let trial_until = ((seconds + 3) * 1000).to_string();
    redis.command(&["HSET", flows.array()[0].text().as_str(), "trial_until", &trial_until]);
    let paths: Vec<String> = (0..60).map(|number| format!("/slow/300?{number}")).collect();
    paths.iter().for_each(|path| drop(queue.enqueue(&[("url", sink.url(path))])));
    wait_for_paths(&sink, &paths, TEST_TIMEOUT);
}

/// A path that fails is not its whole destination. The pause of the breaker is longer than the test.
#[test]
fn a_path_that_fails_does_not_stop_other_paths() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let config = long_pause();
    let mut worker = worker(&redis, &["--concurrency", "16", "--config", config.path()]);
    for _ in 0..30 {
        queue.enqueue(&[("url", sink.url("/status/503")), ("max_attempts", "100".to_owned())]);
    }
    worker.wait_for_log("the destination does not answer", TEST_TIMEOUT);
    let paths: Vec<String> = (0..40).map(|number| format!("/ok?{number}")).collect();
    paths.iter().for_each(|path| drop(queue.enqueue(&[("url", sink.url(path))])));
    wait_for_paths(&sink, &paths, TEST_TIMEOUT);
}

/// `Retry-After` holds the flow for all workers, and costs only the job that got it an attempt.
#[test]
fn a_flow_waits_as_long_as_its_destination_asks() {
    const JOBS: usize = 100;
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let mut workers = [(); 2].map(|()| worker(&redis, &["--concurrency", "8", "--max-attempts", "3"]));
    let asks = |key: &str| {
        let body = "429\nretry-after: 3\n\n";
        queue.enqueue(&[("url", sink.url(&format!("/reply-once/{key}")).as_str()), ("body", body)])
    };
    asks("first");
    let began = sink.wait_for(1, TEST_TIMEOUT)[0].arrived;
    eventually("the flow is held", TEST_TIMEOUT, || {
        let state = redis.command(&["KEYS", "postrider:flow:*"]);
        state
            .array()
            .first()
            .and_then(|key| redis.command(&["HGET", &key.text(), "hold_until"]).bytes().first().map(|_| ()))
    });
    let enqueue = |numbers: std::ops::Range<usize>| {
        numbers.for_each(|number| drop(queue.enqueue(&[("url", sink.url(&format!("/ok?{number}")))])));
    };
    // The other worker hears of it when it finds jobs that this one holds, within a second.
    enqueue(0..JOBS / 2);
    let passed = |millis| (began.elapsed() > Duration::from_millis(millis)).then_some(());
    eventually("a second passes", TEST_TIMEOUT, || passed(1500));
    enqueue(JOBS / 2..JOBS);
    eventually("the hold is almost over", TEST_TIMEOUT, || passed(2800));
    let within = |request: &&SinkRequest| {
        (1500..2800).contains(&request.arrived.saturating_duration_since(began).as_millis())
    };
    assert_eq!(sink.requests().iter().filter(within).count(), 0, "while the destination asked to wait");
    queue.wait_until_drained(Duration::from_secs(60));
    assert_eq!((sink.requests().len(), queue.dead().len()), (JOBS + 2, 0), "held jobs spend no attempts");
    workers.iter_mut().for_each(|worker| assert_eq!(worker.stop().code(), Some(0)));
}

/// Old jobs that do not expire neither delay the expiry of others, nor does their flow cost anything while it is idle.
#[test]
fn held_jobs_expire_behind_others_that_do_not() {
    const OLD: usize = 150;
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let config = TextFile::new("[retry.short]\nmax_age = \"2s\"\n[flows.narrow]\nconcurrency = 1\n");
    let _worker = worker(&redis, &["--config", config.path(), "--timeout", "60s"]);
    queue.enqueue(&[("url", sink.url("/hang").as_str()), ("flow", "narrow")]);
    sink.wait_for(1, TEST_TIMEOUT);
    let enqueue = |retry: &str| {
        queue.enqueue(&[("url", sink.url("/ok").as_str()), ("flow", "narrow"), ("retry", retry)]);
    };
    (0..OLD).for_each(|_| enqueue("default"));
    (0..10).for_each(|_| enqueue("short"));
    eventually("all are held", TEST_TIMEOUT, || (queue.held() == OLD as i64 + 10).then_some(()));
    let began = Instant::now();
    eventually_or("they expire", Duration::from_secs(8), || match queue.dead().len() {
        10 => Ok(()),
        dead => Err(dead),
    });
    assert!(queue.dead().iter().all(|letter| letter.reason() == "expired"));
    let added = || {
        let stats = redis.command(&["INFO", "commandstats"]).text();
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xadd:calls="));
        calls.and_then(|calls| calls.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = added();
    eventually("three seconds pass", TEST_TIMEOUT, || {
        (began.elapsed() > Duration::from_secs(5)).then_some(())
    });
    assert_eq!(added(), before, "an idle flow moves no jobs");
}

/// A worker that has too few file descriptors proves nothing about the destinations, and its jobs spend no attempts.
#[test]
fn a_worker_without_descriptors_closes_no_destination() {
    const JOBS: usize = 200;
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let mut worker = worker(&redis, &["--concurrency", "64", "--threads", "1", "--max-attempts", "2"]);
    let limit = ["--pid", &worker.pid().to_string(), "--nofile=36:36"];
    let limited = std::process::Command::new("prlimit").args(limit).status().expect("prlimit is installed");
    assert!(limited.success());
    for number in 0..JOBS {
        let (url, flow) = (sink.url(&format!("/slow/50?{number}")), format!("host-{}", number % 40));
        queue.enqueue(&[("url", url.as_str()), ("flow", flow.as_str())]);
    }
    worker.wait_for_log("this worker lacks what attempts need", TEST_TIMEOUT);
    queue.wait_until_drained(Duration::from_secs(60));
    assert_eq!((sink.requests().len(), queue.dead().len()), (JOBS, 0));
    let logged = |part: &str| worker.log().iter().filter(|line| line.contains(part)).count();
    assert_eq!(logged("this worker lacks what attempts need"), 1, "once");
    assert_eq!(logged("the destination does not answer"), 0);
}

/// A worker whose proxy reaches nothing cannot be distinguished from one whose destinations are down, except by another worker.
/// The pause of the breaker is longer than the test.
#[test]
fn a_worker_that_reaches_nothing_closes_no_destination_for_others() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let config = long_pause();
    let more = ["--concurrency", "16", "--max-attempts", "50", "--config", config.path()];
    let mut healthy = worker(&redis, &more);
    let paths: Vec<String> = (0..200).map(|number| format!("/ok/{}?{number}", number % 5)).collect();
    let enqueue = |path: &String| drop(queue.enqueue(&[("url", sink.url(path))]));
    paths[..20].iter().for_each(enqueue);
    wait_for_paths(&sink, &paths[..20], TEST_TIMEOUT);
    let answer = b"HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 0\r\n\r\n".to_vec();
    let proxy = Hostile::start(Behaviour::Answer(answer), None);
    let url = format!("http://127.0.0.1:{}", proxy.port());
    let mut sick = worker(&redis, &[&more[..], &["--http-proxy", &url]].concat());
    for path in &paths[20..170] {
        enqueue(path);
        std::thread::sleep(Duration::from_millis(10));
    }
    sick.wait_for_log("the destination does not answer", TEST_TIMEOUT);
    healthy.wait_for_log("this worker reaches a destination that another one does not", TEST_TIMEOUT);
    paths[170..].iter().for_each(enqueue);
    wait_for_paths(&sink, &paths, 4 * TEST_TIMEOUT);
    queue.wait_until_drained(TEST_TIMEOUT);
    assert!(!proxy.heads().is_empty() && queue.dead().is_empty());
}
