//! A flow's grant that no job uses goes to the next of its jobs; a grant in use stays counted.

use std::time::{Duration, Instant, SystemTime};

use e2e::process::{Build, Postrider, Signal};
use e2e::proxy::{Mode, Proxy};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;

e2e::in_both_builds!(
    jobs_that_expire_while_they_wait_do_not_keep_their_flow_closed,
    jobs_that_expire_while_they_wait_use_no_tokens,
    a_trial_that_is_refused_is_another_jobs,
);

fn configured(build: Build, redis: &RedisServer, config: &TextFile, more: &[&str]) -> Postrider {
    let arguments = ["--config", config.path(), "--retry-base", "50ms"];
    Postrider::ready_worker(build, redis, &[&arguments, more].concat(), &[])
}

/// Unix milliseconds, `from_now` ahead.
fn unix_millis(from_now: Duration) -> String {
    let time = SystemTime::now() + from_now;
    time.duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970").as_millis().to_string()
}

fn wait_until(time: Instant) {
    eventually("the time has come", DEADLINE, || (Instant::now() >= time).then_some(()));
}

/// The breaker's trial must go to a job that can be sent, and not be lost with jobs that cannot.
fn jobs_that_expire_while_they_wait_do_not_keep_their_flow_closed(build: Build) {
    const JOBS: usize = 20;
    let world = World::new(build);
    let sink = &world.sink;
    let (queue, down) = (world.queue(), Proxy::start_down(sink.address().port()));
    let url = down.http_url();
    let config = TextFile::new(
        "[flows.default]\nbreaker_failures = 2\nbreaker_pause = \"300ms\"\nbreaker_longest = \"300ms\"\n",
    );
    let mut worker =
        configured(build, &world.redis, &config, &["--concurrency", "4", "--max-attempts", "100"]);
    let (life, began) = (Duration::from_secs(3), Instant::now());
    let expires = unix_millis(life);
    for number in 0..JOBS {
        queue.enqueue(&[("url", &format!("{url}/early?{number}")), ("expires_at", &expires)]);
    }
    for number in 0..JOBS {
        queue.enqueue(&[("url", format!("{url}/late?{number}"))]);
    }
    worker.wait_for_log("the destination does not answer", DEADLINE);
    eventually("its jobs are held", DEADLINE, || (queue.held() >= JOBS as i64).then_some(()));
    wait_until(began + life);
    down.set(Mode::Pass);
    worker.wait_for_log("the destination answers again", Duration::from_secs(20));
    queue.wait_until_drained(Duration::from_secs(20));
    let late = sink.requests().iter().filter(|request| request.path.starts_with("/late")).count();
    assert_eq!(late, JOBS);
    let dead = queue.dead();
    assert!(!dead.is_empty() && dead.iter().all(|letter| letter.reason() == "expired"), "{dead:?}");
}

/// At one a minute, each token counts.
fn jobs_that_expire_while_they_wait_use_no_tokens(build: Build) {
    const EXPIRE: usize = 30;
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let config = TextFile::new("[flows.orders]\nrate = \"20/m\"\nburst = 2\n");
    let _worker = configured(build, &world.redis, &config, &["--concurrency", "8"]);
    let (life, began) = (Duration::from_secs(2), Instant::now());
    let expires = unix_millis(life);
    for number in 0..EXPIRE {
        let url = sink.url(&format!("/early?{number}"));
        queue.enqueue(&[("url", url.as_str()), ("flow", "orders"), ("expires_at", &expires)]);
    }
    queue.enqueue(&[("url", sink.url("/late").as_str()), ("flow", "orders")]);
    eventually("they are held", DEADLINE, || (queue.held() >= EXPIRE as i64 - 3).then_some(()));
    wait_until(began + life);
    // With a token for each of them it would take a minute and a half.
    sink.wait_for_path("/late", 1, Duration::from_secs(30));
    queue.wait_until_drained(DEADLINE);
    assert!(sink.requests().len() <= 5, "the rate is kept: {}", sink.requests().len());
    assert_eq!(queue.dead().len() + sink.requests().len(), EXPIRE + 1);
}

/// A flow of many destinations: a refused one proves nothing about the others.
fn a_trial_that_is_refused_is_another_jobs(build: Build) {
    const JOBS: usize = 6;
    let world = World::new(build);
    let sink = &world.sink;
    let (queue, down) = (world.queue(), Proxy::start_down(sink.address().port()));
    let url = down.http_url();
    let config = TextFile::new(
        "[flows.customer]\nbreaker_failures = 2\nbreaker_pause = \"1s\"\nbreaker_longest = \"1s\"\n",
    );
    // A breaker opens on failures of two jobs, in one thread.
    let arguments = ["--concurrency", "4", "--threads", "1", "--max-attempts", "100"];
    let mut worker = configured(build, &world.redis, &config, &arguments);
    for _ in 0..2 {
        queue.enqueue(&[("url", url.as_str()), ("flow", "customer"), ("max_attempts", "1")]);
    }
    worker.wait_for_log("the destination does not answer", DEADLINE);
    for _ in 0..JOBS {
        queue.enqueue(&[("url", "http://10.0.0.1/"), ("flow", "customer")]);
    }
    queue.enqueue(&[("url", format!("{url}/?late").as_str()), ("flow", "customer")]);
    down.set(Mode::Pass);
    worker.wait_for_log("the destination answers again", Duration::from_secs(20));
    queue.wait_until_drained(Duration::from_secs(20));
    assert_eq!((sink.requests().len(), queue.dead().len()), (1, JOBS + 2));
}

/// The attempts of a worker that ends slowly are counted until they end.
#[test]
fn a_limit_of_concurrency_is_kept_while_a_worker_ends() {
    const ATTEMPTS_MAX: usize = 2;
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let config = TextFile::new("[flows.orders]\nconcurrency = 2\nbreaker_failures = 0\n");
    let url = sink.url("/slow/20000");
    for _ in 0..2 * ATTEMPTS_MAX {
        queue.enqueue(&[("url", url.as_str()), ("flow", "orders")]);
    }
    let mut first = configured(Build::Otel, &redis, &config, &["--shutdown-timeout", "60s"]);
    eventually("the limit is reached", DEADLINE, || (sink.connections() == ATTEMPTS_MAX).then_some(()));
    let began = Instant::now();
    let _second = configured(Build::Otel, &redis, &config, &[]);
    first.signal(Signal::SIGTERM);
    // Reported attempts count for 15 s, which is less than they take.
    assert_eq!(first.wait_exit(DEADLINE).code(), Some(0));
    assert!(began.elapsed() > Duration::from_secs(15), "the attempts took long enough to be forgotten");
    let requests = sink.wait_for(2 * ATTEMPTS_MAX, DEADLINE);
    let end = requests.iter().map(|request| request.arrived).min().expect("there are some");
    let early = requests.iter().filter(|request| request.arrived < end + Duration::from_secs(20)).count();
    assert_eq!(early, ATTEMPTS_MAX, "the flow's limit");
}
