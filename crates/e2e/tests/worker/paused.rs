//! Pauses of queues and flows: all workers see them, and they outlive workers and connections.

use std::time::{Duration, Instant};

use e2e::cluster;
use e2e::http_call::exchange;
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::resp::Reply;
use e2e::scripts::CONTROL;
use e2e::sink::Sink;
use e2e::wait::{DEADLINE, eventually, eventually_or};
use e2e::world::World;

e2e::in_both_builds!(
    no_worker_reads_a_paused_queue,
    a_pause_outlives_workers_and_redis,
    a_pause_ends_by_itself,
    a_paused_flow_holds_only_its_own_jobs,
);

/// The id of the flow `orders`.
const ORDERS: &str = "9658403816409e66";
const PAUSED: &str = "the queue is paused";
/// Both queues, so that deliveries of the second one show that the worker is at work.
const BOTH: [&str; 4] = ["--queue", "default", "--queue", "other"];
/// Each thread has its own blocking reads.
const ONE_THREAD: [&str; 2] = ["--threads", "1"];
/// Within 2 s, and a second more for a loaded machine.
const NOTICED: Duration = Duration::from_secs(3);

fn pause(redis: &RedisServer, field: &str, end: u64) {
    redis.command(&["HSET", CONTROL, field, &format!("{end} 0 {{}}")]);
}

fn resume(redis: &RedisServer, field: &str) {
    assert_eq!(redis.command(&["HDEL", CONTROL, field]).integer(), 1);
}

fn now(redis: &RedisServer) -> u64 {
    let time = redis.command(&["TIME"]);
    let part = |index: usize| time.array()[index].text().parse::<u64>().expect("a number");
    part(0) * 1000 + part(1) / 1000
}

/// Enqueues numbered jobs. Returns their paths.
fn enqueue(queue: Queue<'_>, sink: &Sink, name: &str, jobs: usize) -> Vec<String> {
    let paths = (0..jobs).map(|number| format!("/ok?{name}-{number:03}"));
    paths.inspect(|path| drop(queue.enqueue(&[("url", sink.url(path))]))).collect()
}

/// Delivers jobs of the other queue, one after another: in that time, the worker has tried again and again to get some.
fn delivers_others(world: &World, name: &str) {
    for number in 0..30 {
        let name = format!("{name}-{number}");
        let path = &enqueue(Queue::new(&world.redis, "other"), &world.sink, &name, 1)[0];
        world.sink.wait_for_path(path, 1, DEADLINE);
    }
}

/// Waits until as many reads block on these servers: those of paused queues have ended.
fn wait_for_blocked_reads(servers: &[&RedisServer], reads: usize, began: Instant) {
    eventually_or("the reads of the paused queue have ended", DEADLINE, || {
        let blocked: usize = servers.iter().map(|redis| redis.blocked_reads()).sum();
        if blocked == reads { Ok(()) } else { Err(format!("{blocked} reads block")) }
    });
    assert!(began.elapsed() < NOTICED, "{:?}", began.elapsed());
}

fn of_default(sink: &Sink) -> Vec<String> {
    let paths = sink.requests().into_iter().map(|request| request.path);
    paths.filter(|path| !path.starts_with("/ok?other")).collect()
}

fn no_worker_reads_a_paused_queue(build: Build) {
    let world = World::new(build);
    let (redis, sink, queue) = (&world.redis, &world.sink, world.queue());
    let arguments = [&BOTH[..], &ONE_THREAD, &["--listen=127.0.0.1:0"]].concat();
    let mut workers = [(); 2].map(|()| world.worker(&arguments));
    let before = enqueue(queue, sink, "before", 3);
    before.iter().for_each(|path| drop(sink.wait_for_path(path, 1, DEADLINE)));
    wait_for_blocked_reads(&[redis], 4, Instant::now());
    pause(redis, "q:default", 0);
    let began = Instant::now();
    for worker in &mut workers {
        worker.wait_for_log(PAUSED, DEADLINE);
    }
    wait_for_blocked_reads(&[redis], 2, began);
    let mut paths = enqueue(queue, sink, "first", 20);
    delivers_others(&world, "other-1");
    // A job that becomes due joins those that are ready.
    queue.schedule("7-0", &[("url", &sink.url("/ok?scheduled"))]);
    redis.command(&["ZADD", &queue.key("scheduled"), "1", "7-0"]);
    eventually("the job is ready", DEADLINE, || (queue.depth() == 21).then_some(()));
    paths.push("/ok?scheduled".to_owned());
    paths.extend(enqueue(queue, sink, "second", 20));
    delivers_others(&world, "other-2");
    assert_eq!((of_default(sink).len(), queue.depth(), queue.pending()), (3, 41, 0));
    for worker in &mut workers {
        let line = worker.wait_for_log("status listens on http://", DEADLINE);
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.and_then(|address| address.parse().ok()).expect("an address");
        let answer = exchange(address, "GET", "/readyz", &[], b"", DEADLINE).expect("an answer");
        assert_eq!(answer.status, 200);
    }
    resume(redis, "q:default");
    paths.iter().for_each(|path| drop(sink.wait_for_path(path, 1, DEADLINE)));
    queue.wait_until_drained(DEADLINE);
    assert_eq!(of_default(sink).len(), 3 + 41, "each once");
}

fn a_pause_outlives_workers_and_redis(build: Build) {
    let mut world =
        World::on(build, RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]));
    pause(&world.redis, "q:default", 0);
    let arguments = [&BOTH[..], &["--concurrency", "1"]].concat();
    let mut first = world.worker(&arguments);
    first.wait_for_log(PAUSED, DEADLINE);
    let mut paths = enqueue(world.queue(), &world.sink, "first", 10);
    delivers_others(&world, "other-1");
    assert!(first.stop().success());
    let mut second = world.worker(&arguments);
    delivers_others(&world, "other-2");
    world.redis.kill();
    second.wait_for_log("Redis does not answer", DEADLINE);
    world.redis.restart();
    paths.extend(enqueue(world.queue(), &world.sink, "second", 10));
    delivers_others(&world, "other-3");
    assert_eq!(of_default(&world.sink), Vec::<String>::new());
    let log = second.log().join("\n");
    assert_eq!((log.matches(PAUSED).count(), log.contains("no longer paused")), (1, false), "{log}");
    resume(&world.redis, "q:default");
    world.queue().wait_until_drained(DEADLINE);
    assert_eq!(of_default(&world.sink), paths, "in their order");
}

fn a_pause_ends_by_itself(build: Build) {
    let world = World::new(build);
    let (redis, sink) = (&world.redis, &world.sink);
    let mut worker = world.worker(&[]);
    let (began, time) = (Instant::now(), Duration::from_secs(4));
    pause(redis, "q:default", now(redis) + time.as_millis() as u64);
    worker.wait_for_log(PAUSED, DEADLINE);
    wait_for_blocked_reads(&[redis], 0, began);
    let path = &enqueue(world.queue(), sink, "first", 1)[0];
    let request = &sink.wait_for_path(path, 1, DEADLINE)[0];
    assert!(request.arrived >= began + time, "{:?}", request.arrived - began);
    worker.wait_for_log("the queue is no longer paused", DEADLINE);
    assert_eq!(redis.command(&["EXISTS", CONTROL]).integer(), 0, "nothing is left of it");
}

/// Held jobs spend no attempt: they have only one.
fn a_paused_flow_holds_only_its_own_jobs(build: Build) {
    const JOBS: usize = 40;
    let world = World::new(build);
    let (redis, sink, queue) = (&world.redis, &world.sink, world.queue());
    let mut worker = world.worker(&["--concurrency", "1", "--max-attempts", "1"]);
    pause(redis, &format!("f:{ORDERS}"), 0);
    worker.wait_for_log("the number of paused flows has changed", DEADLINE);
    let path = |name: &str, number: usize| format!("/ok?{name}-{number:03}");
    for number in 0..JOBS {
        queue.enqueue(&[("url", sink.url(&path("held", number)).as_str()), ("flow", "orders")]);
        queue.enqueue(&[("url", sink.url(&path("free", number)))]);
    }
    (0..JOBS).for_each(|number| drop(sink.wait_for_path(&path("free", number), 1, DEADLINE)));
    eventually_or("held jobs", DEADLINE, || {
        if queue.held() == JOBS as i64 { Ok(()) } else { Err(queue.held()) }
    });
    // They are checked every second.
    let check = || redis.command(&["ZSCORE", &queue.key("flows"), ORDERS]).text();
    let first = check();
    eventually("two checks", DEADLINE, || (check() != first).then_some(()));
    let second = check();
    eventually("two checks", DEADLINE, || (check() != second).then_some(()));
    assert_eq!((sink.requests().len(), queue.held()), (JOBS, JOBS as i64));
    resume(redis, &format!("f:{ORDERS}"));
    queue.wait_until_drained(DEADLINE);
    let paths: Vec<String> = sink.requests().into_iter().skip(JOBS).map(|request| request.path).collect();
    // A flow holds an admitted job again that finds its window full, so that jobs of the same moment may change places.
    let place =
        |number: usize| paths.iter().position(|sent| *sent == path("held", number)).expect("it was sent");
    let moved = (0..JOBS).map(|number| place(number).abs_diff(number)).sum::<usize>() / JOBS;
    assert!(moved <= 5 && paths.len() == JOBS, "in the order of their age: {paths:?}");
    assert_eq!(queue.dead().len(), 0);
}

/// A flow has jobs in a paused queue and in another one. Only the latter are admitted.
#[test]
fn held_jobs_of_a_paused_queue_are_not_admitted() {
    let world = World::new(Build::Otel);
    let (redis, sink, queue) = (&world.redis, &world.sink, world.queue());
    let other = Queue::new(redis, "other");
    pause(redis, "q:default", 0);
    for (queue, path) in [(queue, "/ok?default"), (other, "/ok?other")] {
        queue.postpone(ORDERS, "7-0", &[("url", &sink.url(path)), ("flow", "orders")]);
        redis.command(&["ZADD", &queue.key("flows"), "1", ORDERS]);
    }
    let _worker = world.worker(&BOTH);
    sink.wait_for_path("/ok?other", 1, DEADLINE);
    let check = || redis.command(&["ZSCORE", &queue.key("flows"), ORDERS]).text();
    eventually("a check of the flow", DEADLINE, || (check() != "1").then_some(()));
    delivers_others(&world, "other-1");
    assert_eq!((of_default(sink), queue.depth(), queue.waiting()), (vec![], 0, 1));
    resume(redis, "q:default");
    sink.wait_for_path("/ok?default", 1, DEADLINE);
}

/// The reclaimer takes over no job of a paused queue.
#[test]
fn the_job_of_a_dead_worker_waits_for_the_end_of_the_pause() {
    let world = World::new(Build::Otel);
    let (redis, sink, queue) = (&world.redis, &world.sink, world.queue());
    let mut first = world.worker(&["--lease", "1s"]);
    queue.enqueue(&[("url", sink.url("/hang"))]);
    sink.wait_for_path("/hang", 1, DEADLINE);
    pause(redis, "q:default", 0);
    first.kill();
    let mut second = world.worker(&["--lease", "1s"]);
    second.wait_for_log(PAUSED, DEADLINE);
    eventually("idle for several leases", DEADLINE, || {
        let idle =
            redis.command(&["XPENDING", &queue.key("jobs"), "postrider", "IDLE", "4000", "-", "+", "1"]);
        matches!(idle, Reply::Array(rows) if rows.len() == 1).then_some(())
    });
    assert_eq!(sink.requests().len(), 1);
    resume(redis, "q:default");
    sink.wait_for_path("/hang", 2, DEADLINE);
}

/// The hash is one key, on whichever node.
#[test]
fn a_queue_of_a_cluster_is_paused() {
    let (nodes, sink) = (cluster::start(3), Sink::start());
    let url = format!("redis-cluster://127.0.0.1:{}", nodes[0].port);
    let meta = "postrider:{default}:meta";
    let home = &nodes[cluster::index_of(&nodes, meta)];
    home.command(&["HSET", meta, "shards", "4", "shards_before", "4"]);
    let control = &nodes[cluster::index_of(&nodes, CONTROL)];
    let environment = [("POSTRIDER_REDIS_URL", url.as_str())];
    let arguments = [&BOTH[..], &ONE_THREAD].concat();
    let mut worker = Postrider::ready_worker(Build::Otel, control, &arguments, &environment);
    let servers: Vec<&RedisServer> = nodes.iter().collect();
    wait_for_blocked_reads(&servers, 5, Instant::now());
    pause(control, "q:default", 0);
    let began = Instant::now();
    worker.wait_for_log(PAUSED, DEADLINE);
    wait_for_blocked_reads(&servers, 1, began);
    let shards = ["default", "default/1", "default/2", "default/3"];
    let on = |queue: &'static str| {
        let key = format!("postrider:{{{queue}}}:jobs");
        Queue::new(&nodes[cluster::index_of(&nodes, &key)], queue)
    };
    shards.iter().for_each(|shard| drop(enqueue(on(shard), &sink, shard, 5)));
    for number in 0..30 {
        let path = &enqueue(on("other"), &sink, &format!("other-{number}"), 1)[0];
        sink.wait_for_path(path, 1, DEADLINE);
    }
    assert_eq!(of_default(&sink), Vec::<String>::new());
    resume(control, "q:default");
    sink.wait_for(30 + 20, DEADLINE);
    assert!(worker.stop().success());
    let log = worker.log().join("\n");
    assert!(!log.contains("CROSSSLOT"), "{log}");
}
