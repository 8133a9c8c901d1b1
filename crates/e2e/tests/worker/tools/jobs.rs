//! Tests of the commands that move single jobs by hand: each moves a job exactly once.

use e2e::process::Build;
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::world::World;

use super::{DEADLINE, NOWHERE, document, outcome, run};

e2e::in_both_builds!(
    a_ready_job_is_cancelled_once,
    a_waiting_job_is_cancelled_once,
    a_running_job_is_taken_from_its_worker,
    several_jobs_with_one_label_are_listed_and_unchanged,
    a_waiting_job_runs_now_and_once,
    an_obstacle_at_the_target_leaves_the_job_where_it_was,
    a_full_redis_still_moves_jobs_by_hand,
);

fn a_ready_job_is_cancelled_once(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let job_id =
        queue.enqueue(&[("url", NOWHERE), ("result_ttl_ms", "60000"), ("body", "hello"), ("_junk", "x")]);
    let (code, answer) = document(build, &redis, &["jobs", "cancel", &job_id]);
    assert_eq!((code, outcome(&answer)), (0, "cancelled"), "{answer}");
    assert_eq!(run(build, &redis, &["jobs", "cancel", &job_id]).code(), 1);
    assert_eq!(queue.drained(), Ok(()));
    let dead = queue.dead();
    assert_eq!(
        (dead.len(), dead[0].reason(), dead[0].field("_job_id")),
        (1, "cancelled".to_owned(), Some(job_id.clone()))
    );
    assert_eq!(dead[0].own_fields().len(), 3);
    assert_eq!(dead[0].field("_junk"), None);
    assert!(queue.result(&job_id).is_some_and(|result| result.contains("cancelled")));
}

fn a_waiting_job_is_cancelled_once(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    queue.schedule("7-0", &[("url", NOWHERE), ("label", "order-1")]);
    let (code, answer) = document(build, &redis, &["jobs", "cancel", "order-1"]);
    assert_eq!((code, outcome(&answer)), (0, "cancelled"), "{answer}");
    assert_eq!(run(build, &redis, &["jobs", "cancel", "7-0"]).code(), 1);
    assert_eq!((queue.drained(), queue.dead().len()), (Ok(()), 1));
    assert_eq!(
        (queue.dead()[0].reason(), queue.dead()[0].field("_job_id")),
        ("cancelled".into(), Some("7-0".into()))
    );
}

fn a_running_job_is_taken_from_its_worker(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&["--lease", "1s", "--concurrency", "1"]);
    let job_id = queue.enqueue(&[("url", sink.url("/hang"))]);
    sink.wait_for(1, DEADLINE);
    let output = run(build, &world.redis, &["jobs", "cancel", &job_id]);
    assert_eq!(output.code(), 0);
    assert!(output.stdout.contains("may have been sent"), "{output:?}");
    // The one slot is free again: the worker noticed.
    queue.enqueue(&[("url", sink.url("/ok"))]);
    sink.wait_for(2, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (2, 1));
}

fn several_jobs_with_one_label_are_listed_and_unchanged(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let job_ids = [queue.enqueue(&[("url", NOWHERE), ("label", "same")]), "7-0".to_owned()];
    queue.schedule("7-0", &[("url", NOWHERE), ("label", "same")]);
    let output = run(build, &redis, &["jobs", "cancel", "same"]);
    assert_eq!((output.code(), queue.depth(), queue.waiting()), (1, 1, 1));
    assert!(job_ids.iter().all(|job_id| output.stdout.contains(job_id)), "{output:?}");
    assert_eq!(run(build, &redis, &["jobs", "cancel", "same", "--all"]).code(), 0);
    assert_eq!((queue.drained(), queue.dead().len()), (Ok(()), 2));
}

fn a_waiting_job_runs_now_and_once(build: Build) {
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    queue.schedule("7-0", &[("url", &sink.url("/ok")), ("delay_ms", "3600000")]);
    let (code, answer) = document(build, redis, &["jobs", "run-now", "7-0"]);
    assert_eq!((code, outcome(&answer)), (0, "ready"), "{answer}");
    assert_eq!((queue.depth(), queue.waiting(), queue.scheduled()), (1, 0, 0));
    let (code, answer) = document(build, redis, &["jobs", "run-now", "7-0"]);
    assert_eq!((code, outcome(&answer)), (1, "not_waiting"), "{answer}");
    let _worker = world.worker(&[]);
    let request = &sink.wait_for(1, DEADLINE)[0];
    assert_eq!(request.header("idempotency-key"), Some("7-0"));
    queue.wait_until_drained(DEADLINE);
    assert_eq!((sink.requests().len(), queue.dead().len()), (1, 0));
}

fn an_obstacle_at_the_target_leaves_the_job_where_it_was(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let ready = queue.enqueue(&[("url", NOWHERE)]);
    queue.schedule("7-0", &[("url", NOWHERE)]);
    redis.command(&["SET", &queue.key("dead"), "obstacle"]);
    for job_id in [ready.as_str(), "7-0"] {
        let output = run(build, &redis, &["jobs", "cancel", job_id]);
        assert!(output.code() == 4 && output.stderr.contains("WRONGTYPE"), "{output:?}");
    }
    assert_eq!((queue.depth(), queue.waiting(), queue.scheduled()), (1, 1, 1));
    redis.command(&["DEL", &queue.key("dead")]);
    assert_eq!(run(build, &redis, &["jobs", "cancel", &ready]).code(), 0);
    redis.command(&["SET", &queue.key("jobs"), "obstacle"]);
    for (arguments, code, named) in
        [(["jobs", "run-now", "7-0"], 1, "is no stream"), (["dead", "replay", &ready], 4, "WRONGTYPE")]
    {
        let output = run(build, &redis, &arguments);
        assert!(output.code() == code && output.stderr.contains(named), "{output:?}");
    }
    assert_eq!((queue.waiting(), queue.scheduled(), queue.dead().len()), (1, 1, 1));
    redis.command(&["DEL", &queue.key("jobs")]);
    assert_eq!(run(build, &redis, &["jobs", "run-now", "7-0"]).code(), 0);
    assert_eq!(run(build, &redis, &["dead", "replay", &ready]).code(), 0);
    assert_eq!((queue.depth(), queue.waiting(), queue.dead().len()), (2, 0, 0));
}

fn a_full_redis_still_moves_jobs_by_hand(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let ready = queue.enqueue(&[("url", NOWHERE)]);
    for job_id in ["7-0", "8-0"] {
        queue.schedule(job_id, &[("url", NOWHERE)]);
    }
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for arguments in [["jobs", "cancel", &ready], ["jobs", "cancel", "7-0"], ["jobs", "run-now", "8-0"]] {
        let output = run(build, &redis, &arguments);
        assert_eq!(output.code(), 0, "{output:?}");
    }
    assert_eq!((queue.depth(), queue.waiting(), queue.dead().len()), (1, 0, 2));
    assert_eq!(run(build, &redis, &["dead", "replay", "7-0"]).code(), 0);
    assert_eq!((queue.depth(), queue.dead().len()), (2, 1));
    assert_eq!(run(build, &redis, &["dead", "purge", "--all", "--yes"]).code(), 0);
    assert_eq!(queue.dead().len(), 0);
}
