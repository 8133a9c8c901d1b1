//! Callbacks while something fails: a job that kills its workers, a reply that is lost, a worker that is killed, a full Redis.

use std::collections::BTreeSet;

use e2e::process::{Build, Postrider};
use e2e::proxy::{Mode, Proxy};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::scripts::Script;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;
use serde_json::json;

use super::callbacks::reports;

e2e::in_both_builds!(
    a_poisonous_job_is_reported_though_its_body_stays_in_redis,
    no_callback_is_lost_or_doubled_by_a_lost_reply_or_a_killed_worker,
    a_full_redis_drains_jobs_and_their_callbacks,
);

/// Its delivery count has grown under a worker that is gone.
fn deliver_again(redis: &RedisServer, entry: &str, times: u64) {
    let jobs = "postrider:{default}:jobs";
    redis.command(&["XREADGROUP", "GROUP", "postrider", "ghost", "COUNT", "1", "STREAMS", jobs, ">"]);
    let count = times.to_string();
    let claim =
        ["XCLAIM", jobs, "postrider", "ghost", "0", entry, "RETRYCOUNT", &count, "IDLE", "100000", "JUSTID"];
    redis.command(&claim);
}

fn a_poisonous_job_is_reported_though_its_body_stays_in_redis(build: Build) {
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    redis.command(&["XGROUP", "CREATE", "postrider:{default}:jobs", "postrider", "0", "MKSTREAM"]);
    let filler = "z".repeat(60_000);
    // More than the reclaimer returns of a poisonous entry, before the field that it needs.
    let job = [
        ("url", sink.url("/ok?poison")),
        ("body", "x".repeat(200_000)),
        ("first", filler.clone()),
        ("second", filler.clone()),
        ("third", filler),
        ("on_failure", sink.url("/failed")),
    ];
    let entry = queue.enqueue(&job);
    deliver_again(redis, &entry, 5);
    let _worker = world.worker(&["--lease", "500ms"]);
    let report = &reports(sink, "/failed", 1)[0];
    assert_eq!((&report["job_id"], &report["reason"]), (&json!(entry), &json!("poison")), "{report}");
    queue.wait_until_drained(DEADLINE);
    let letter = queue.dead().pop().expect("a dead letter");
    assert_eq!(
        (letter.reason(), letter.field("_callback")),
        ("poison".into(), Some(format!("{entry}-callback")))
    );
    assert_eq!(letter.field("body").map(|body| body.len()), Some(200_000), "it is whole");
    assert!(sink.requests_to("/ok?poison").is_empty());
}

/// Redis has done what a call asks for, and its worker never learns it: it repeats the call, or is killed.
fn no_callback_is_lost_or_doubled_by_a_lost_reply_or_a_killed_worker(build: Build) {
    for (script, path) in [(Script::CompleteWithResult, "/ok"), (Script::DeadLetter, "/status/410")] {
        for is_killed in [false, true] {
            let world = World::new(build);
            let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
            let proxy = Proxy::start(redis.port);
            let url = proxy.redis_url();
            let mut first =
                Postrider::ready_worker(build, redis, &["--lease", "1s"], &[("POSTRIDER_REDIS_URL", &*url)]);
            let sha1 = redis.command(&["SCRIPT", "LOAD", &script.source()]).bytes().to_vec();
            proxy.set(Mode::LoseReplyTo(sha1));
            queue.enqueue(&[
                ("url", sink.url(path)),
                ("on_success", sink.url("/done")),
                ("on_failure", sink.url("/done")),
            ]);
            proxy.wait_for_strike(0, DEADLINE);
            if is_killed {
                first.kill();
            } else {
                proxy.set(Mode::Pass);
            }
            let _second = is_killed.then(|| world.worker(&["--lease", "1s"]));
            queue.wait_until_drained(DEADLINE);
            assert_eq!(sink.requests_to(path).len(), 1, "{script:?}, killed {is_killed}");
            // A worker that is killed after an attempt leaves it to the next one, as with every job.
            let called = sink.requests_to("/done");
            let ids: BTreeSet<_> =
                called.iter().filter_map(|request| request.header("idempotency-key")).collect();
            assert_eq!(ids.len(), 1, "{script:?}, killed {is_killed}: {called:?}");
            assert!(is_killed || called.len() == 1, "{script:?}: {called:?}");
        }
    }
}

/// A callback takes memory that Redis does not have: it is enqueued all the same, since the job leaves.
fn a_full_redis_drains_jobs_and_their_callbacks(build: Build) {
    const JOBS: usize = 60;
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let queue = Queue::new(redis, "default");
    for number in 0..JOBS {
        let path = if number % 2 == 0 { "/ok" } else { "/status/410" };
        let body = number.to_string();
        let job = [
            ("url", sink.url(path)),
            ("body", body),
            ("on_success", sink.url("/done")),
            ("on_failure", sink.url("/done")),
        ];
        queue.enqueue(&job);
    }
    redis.command(&["XGROUP", "CREATE", &queue.key("jobs"), "postrider", "0"]);
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    // Each thread joins as a worker, and they must believe what the other one enqueues.
    let _worker = world.worker(&["--threads", "2"]);
    let all = reports(sink, "/done", JOBS);
    let mut ids: Vec<_> = all.iter().map(|report| report["job_id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), JOBS, "each job is reported once");
    eventually_or("an empty queue", DEADLINE, || match (queue.depth(), queue.pending(), queue.waiting()) {
        (0, 0, 0) => Ok(()),
        left => Err(format!("{left:?}")),
    });
    assert_eq!(queue.dead().len(), JOBS / 2);
}
