//! A worker that dies, is paused, or loses a reply at a named point of a job's life, in both builds.

use e2e::process::{Build, Postrider, Signal};
use e2e::proxy::{Mode, Proxy};
use e2e::redis::RedisServer;
use e2e::scripts::Script;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;

e2e::in_both_builds!(
    killed_between_the_answer_and_its_settlement,
    killed_while_jobs_are_promoted,
    paused_past_its_lease,
    a_job_that_came_during_a_pause_is_not_sent_late,
    the_reply_to_a_settlement_is_lost,
    a_connection_that_is_cut_costs_no_lease,
    the_reply_to_a_read_is_lost,
    the_reply_to_a_takeover_is_lost,
);

const FAST: [&str; 6] = ["--lease", "1s", "--retry-base", "50ms", "--concurrency", "8"];

type Settlement = (Script, &'static str, (&'static str, &'static str), usize, usize);

/// A job that ends with this settlement: its path, a field, its number of requests without accidents, and its
/// number of dead letters.
const SETTLEMENTS: [Settlement; 4] = [
    (Script::Complete, "/ok", ("unknown", "x"), 1, 0),
    (Script::CompleteWithResult, "/ok", ("result_ttl_ms", "60000"), 1, 0),
    (Script::Postpone, "/flaky/1/key", ("unknown", "x"), 2, 0),
    (Script::DeadLetter, "/status/410", ("unknown", "x"), 1, 1),
];

/// The name under which Redis keeps a script. Loads the script if it is missing.
fn sha1(redis: &RedisServer, script: Script) -> Vec<u8> {
    redis.command(&["SCRIPT", "LOAD", &script.source()]).bytes().to_vec()
}

/// A worker whose Redis is behind a proxy.
fn behind(proxy: &Proxy, build: Build, redis: &RedisServer, arguments: &[&str]) -> Postrider {
    Postrider::ready_worker(build, redis, arguments, &[("POSTRIDER_REDIS_URL", &proxy.redis_url())])
}

/// Waits until the worker has found nothing and waits for a job.
fn wait_for_blocked_read(redis: &RedisServer) {
    eventually_or("a read that blocks", DEADLINE, || {
        let clients = redis.command(&["CLIENT", "LIST", "TYPE", "normal"]).text();
        if clients.contains("cmd=xreadgroup") && clients.contains("flags=b") { Ok(()) } else { Err(clients) }
    });
}

fn killed_between_the_answer_and_its_settlement(build: Build) {
    for (script, path, field, requests, dead) in SETTLEMENTS {
        let world = World::new(build);
        let (redis, sink) = (&world.redis, &world.sink);
        let (queue, proxy) = (world.queue(), Proxy::start(redis.port));
        let mut first = behind(&proxy, build, redis, &FAST);
        proxy.set(Mode::Withhold(sha1(redis, script)));
        queue.enqueue(&[("url", sink.url(path).as_str()), field]);
        proxy.wait_for_strike(0, DEADLINE);
        first.kill();
        assert_eq!((queue.depth(), queue.pending()), (1, 1), "{script:?}");
        let _second = world.worker(&FAST);
        queue.wait_until_drained(DEADLINE);
        // The attempt whose settlement was lost is repeated; for the retry that is the 503.
        let expected = requests + usize::from(script != Script::Postpone);
        assert_eq!((sink.requests().len(), queue.dead().len()), (expected, dead), "{script:?}");
    }
}

fn killed_while_jobs_are_promoted(build: Build) {
    const JOBS: usize = 300;
    const IN_HAND: usize = 8;
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let (queue, proxy) = (world.queue(), Proxy::start(redis.port));
    let mut first = behind(&proxy, build, redis, &FAST);
    let url = sink.url("/ok");
    for number in 0..JOBS {
        queue.enqueue(&[("url", url.as_str()), ("delay_ms", "3000"), ("body", &number.to_string())]);
    }
    eventually_or("all wait", DEADLINE, || match queue.scheduled() {
        scheduled if scheduled == JOBS as i64 => Ok(()),
        scheduled => Err(scheduled),
    });
    proxy.set(Mode::LoseReplyTo(sha1(redis, Script::Promote)));
    eventually_or("some are promoted", DEADLINE, || if queue.depth() > 0 { Ok(()) } else { Err("none") });
    // The reply follows the script. Without any reply, the worker is of another source.
    proxy.wait_for_strike(0, DEADLINE);
    first.kill();
    let _second = world.worker(&FAST);
    queue.wait_until_drained(DEADLINE);
    let requests = sink.requests();
    let mut bodies: Vec<_> = requests.iter().map(|request| request.body.clone()).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), JOBS, "each is delivered");
    assert!(requests.len() <= JOBS + IN_HAND, "{} requests", requests.len());
}

fn paused_past_its_lease(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let mut first = world.worker(&FAST);
    queue.enqueue(&[("url", sink.url("/slow/500"))]);
    sink.wait_for(1, DEADLINE);
    first.signal(Signal::SIGSTOP);
    let mut second = world.worker(&FAST);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(second.stop().code(), Some(0));
    first.signal(Signal::SIGCONT);
    // It learns this from its next heartbeat or its settlement, whichever comes first.
    first.wait_for_log("another worker has the jobs", DEADLINE);
    // It has settled nothing, and goes on.
    queue.enqueue(&[("url", sink.url("/ok"))]);
    sink.wait_for(3, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (3, 0));
    assert_eq!(first.stop().code(), Some(0));
}

/// A new connection is ready long before the lease ends, and extends the lease.
fn a_connection_that_is_cut_costs_no_lease(build: Build) {
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let (queue, proxy) = (world.queue(), Proxy::start(redis.port));
    let mut first = behind(&proxy, build, redis, &FAST);
    for jobs in 1..=2 {
        queue.enqueue(&[("url", sink.url("/slow/3000"))]);
        sink.wait_for(jobs, DEADLINE);
        let _second = world.worker(&FAST);
        proxy.cut();
        queue.wait_until_drained(DEADLINE);
        assert_eq!(sink.requests().len(), jobs, "{}", first.log().join("\n"));
    }
    assert_eq!(first.stop().code(), Some(0));
}

/// Redis has settled the job, and the worker does not know: it repeats the call, and nothing is sent twice.
fn the_reply_to_a_settlement_is_lost(build: Build) {
    for (script, path, field, requests, dead) in SETTLEMENTS {
        let world = World::new(build);
        let (redis, sink) = (&world.redis, &world.sink);
        let (queue, proxy) = (world.queue(), Proxy::start(redis.port));
        let mut worker = behind(&proxy, build, redis, &FAST);
        proxy.set(Mode::LoseReplyTo(sha1(redis, script)));
        queue.enqueue(&[("url", sink.url(path).as_str()), field]);
        proxy.wait_for_strike(0, DEADLINE);
        proxy.set(Mode::Pass);
        queue.wait_until_drained(DEADLINE);
        assert_eq!(worker.stop().code(), Some(0), "{script:?}");
        assert_eq!((sink.requests().len(), queue.dead().len()), (requests, dead), "{script:?}");
        let lost =
            worker.log().into_iter().find(|line| line.contains("lease lost") || line.contains("lost to"));
        assert_eq!(lost, None, "{script:?}: a lost reply is no lost lease");
    }
}

/// Redis has written the job into the socket of a paused worker; another worker has taken it over since.
fn a_job_that_came_during_a_pause_is_not_sent_late(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let mut first = world.worker(&FAST);
    wait_for_blocked_read(&world.redis);
    first.signal(Signal::SIGSTOP);
    queue.enqueue(&[("url", sink.url("/ok"))]);
    eventually_or("the job is delivered to it", DEADLINE, || match queue.pending() {
        0 => Err("not yet"),
        _ => Ok(()),
    });
    let mut second = world.worker(&FAST);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(second.stop().code(), Some(0));
    first.signal(Signal::SIGCONT);
    queue.enqueue(&[("url", sink.url("/last"))]);
    sink.wait_for_path("/last", 1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), 2, "one of each");
    assert_eq!(first.stop().code(), Some(0));
}

/// Redis has delivered a job, and the worker has never seen it. There is no other worker to take it over.
fn the_reply_to_a_read_is_lost(build: Build) {
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let (queue, proxy) = (world.queue(), Proxy::start(redis.port));
    let mut worker = behind(&proxy, build, redis, &FAST);
    // If it were cut earlier, the worker would not reach its first read.
    wait_for_blocked_read(redis);
    proxy.set(Mode::CutRepliesAfter(0));
    queue.enqueue(&[("url", sink.url("/ok"))]);
    eventually_or("the job is delivered", DEADLINE, || match queue.pending() {
        0 => Err("not yet"),
        _ => Ok(()),
    });
    proxy.set(Mode::Pass);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), 1);
    assert_eq!(worker.stop().code(), Some(0));
}

/// The same for jobs that the worker has taken over.
fn the_reply_to_a_takeover_is_lost(build: Build) {
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let (queue, proxy) = (world.queue(), Proxy::start(redis.port));
    let mut first = world.worker(&FAST);
    queue.enqueue(&[("url", sink.url("/slow/1000"))]);
    sink.wait_for(1, DEADLINE);
    first.kill();
    // Before it starts: it takes over as soon as it has been connected for a lease.
    proxy.set(Mode::LoseReplyTo(sha1(redis, Script::Reclaim)));
    let mut second = behind(&proxy, build, redis, &FAST);
    eventually_or("the job is taken over", DEADLINE, || {
        let rows = redis.command(&["XPENDING", &queue.key("jobs"), "postrider", "-", "+", "1"]);
        match rows.array() {
            [row] if row.array()[3].integer() == 2 => Ok(()),
            _ => Err(format!("{rows:?}")),
        }
    });
    // The reply follows the script. Without any reply, the worker is of another source.
    proxy.wait_for_strike(0, DEADLINE);
    proxy.set(Mode::Pass);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(sink.requests().len(), 2);
    assert_eq!(second.stop().code(), Some(0));
}
