//! Queues in Redis: places where a job could be lost, and limits that must hold for each queue alone.

use std::time::{Duration, Instant};

use e2e::cluster;
use e2e::http_call::exchange;
use e2e::process::Postrider;
use e2e::queue::Queue;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "queues_that_cannot_be_settled",
        does: "of three queues a key has a wrong type, for a fourth the right `set` is missing; a fifth has 10 jobs a second",
        expects: "the fifth has at least nine tenths of its jobs in 20 s; log, /readyz and `doctor` name the others",
        run: broken_queue,
    },
    Case {
        name: "jobs_of_a_consumer_that_is_removed",
        does: "a worker is killed with 20 jobs in flight, and its consumer is deleted by hand",
        expects: "the jobs are delivered within 60 s, and `doctor` names them before",
        run: removed_consumer,
    },
    Case {
        name: "a_delayed_job_whose_delivery_is_lost",
        does: "a job with a delay of an hour is delivered to a consumer that dies before it schedules the job",
        expects: "the job is scheduled, and not sent",
        run: delayed_job,
    },
    Case {
        name: "an_entry_of_130_megabytes",
        does: "an entry of 130 MB beside 100 jobs",
        expects: "the 100 jobs are delivered and the entry is a dead letter, with at most one start of a worker more",
        run: huge_entry,
    },
    Case {
        name: "keys_while_the_shards_change",
        does: "24 jobs with idempotency keys are enqueued again after 1 to 4 shards, and after 4 to 2",
        expects: "none is enqueued twice",
        run: keys_and_shards,
    },
    Case {
        name: "a_node_of_a_cluster_by_a_plain_url",
        does: "`redis://` to one of three nodes of a cluster, and to a node that has all slots",
        expects: "exit code 4 and the right scheme; with all slots, a warning",
        run: node_of_a_cluster,
    },
];

fn broken_queue() -> String {
    const RATE: u64 = 10;
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let healthy = Queue::new(redis, "healthy");
    let broken = ["dead", "waiting", "scheduled", "right"].map(|name| Queue::new(redis, name));
    redis.command(&["ACL", "SETUSER", "worker", "on", ">pw", "~*", "&*", "+@all", "-set"]);
    for (queue, key) in broken.iter().zip(["dead", "waiting", "scheduled"]) {
        redis.command(&["SET", &queue.key(key), "of a wrong type"]);
    }
    let url = redis.url().replace("redis://", "redis://worker:pw@");
    let arguments = ["--queue", "dead,waiting,scheduled,right,healthy", "--concurrency", "16"];
    let arguments = [&arguments[..], &["--listen", "127.0.0.1:0", "--retry-base", "50ms"]].concat();
    let mut worker = world.worker_with(&arguments, &[("POSTRIDER_REDIS_URL", &url)]);
    for (queue, path) in broken.iter().zip(["/status/404", "/status/500", "/status/500", "/kept"]) {
        let job = [("url", sink.url(path)), ("flow", path.to_owned()), ("result_ttl_ms", "60000".to_owned())];
        let job = if path == "/kept" { &job[..] } else { &job[..2] };
        (0..500).for_each(|_| drop(queue.enqueue(job)));
    }
    wait::unless_interrupted(Duration::from_secs(2));
    let jobs = 20 * RATE;
    for number in 0..jobs {
        healthy.enqueue(&[("url", sink.url(&format!("/ok?{number}")).as_str()), ("flow", "healthy")]);
        wait::unless_interrupted(Duration::from_millis(1000 / RATE));
    }
    let sent = sink.requests().iter().filter(|request| request.path.starts_with("/ok")).count();
    assert!(sent as u64 * 10 >= jobs * 9, "{sent} of {jobs}");
    let answer = get(&mut worker, "/readyz");
    let doctor = world.run(&["doctor"]).stdout;
    for name in ["dead", "waiting", "scheduled", "right"] {
        worker.wait_for_log(&format!("\"queue\":\"{name}\""), DEADLINE);
        assert!(answer.contains(&format!("the queue {name} does not work")), "{answer}");
        assert!(
            name == "right" || doctor.contains(&format!("the key postrider:{{{name}}}:{name} is no")),
            "{doctor}"
        );
    }
    for name in ["dead", "waiting", "scheduled"] {
        redis.command(&["DEL", &Queue::new(redis, name).key(name)]);
    }
    redis.command(&["ACL", "SETUSER", "worker", "+set"]);
    broken[3].wait_until_drained(DEADLINE);
    wait::eventually("the dead letters", DEADLINE, || (broken[0].dead().len() == 500).then_some(()));
    format!("{sent} of {jobs} were sent")
}

/// What the worker's endpoint answers.
fn get(worker: &mut Postrider, path: &str) -> String {
    let line = worker.wait_for_log("status listens on http://", DEADLINE);
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.and_then(|address| address.parse().ok()).expect("the line has the address");
    let answer = exchange(address, "GET", path, &[], b"", DEADLINE).expect("the endpoint answers");
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn removed_consumer() -> String {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let mut killed = world.worker(&["--lease", "5s"]);
    for number in 0..20 {
        let flow = format!("host-{number}");
        queue.enqueue(&[("url", sink.url("/slow/2000").as_str()), ("flow", &flow)]);
    }
    sink.wait_for(20, DEADLINE);
    killed.kill();
    let jobs = queue.key("jobs");
    let consumers = world.redis.command(&["XINFO", "CONSUMERS", &jobs, "postrider"]);
    for consumer in consumers.array() {
        world.redis.command(&["XGROUP", "DELCONSUMER", &jobs, "postrider", &consumer.array()[1].text()]);
    }
    let doctor = world.run(&["doctor"]).stdout;
    assert!(doctor.contains("20 jobs were delivered and are pending for no worker"), "{doctor}");
    let _worker = world.worker(&["--lease", "5s"]);
    let began = Instant::now();
    queue.wait_until_drained(Duration::from_secs(70));
    assert_eq!((sink.requests().len(), queue.dead().len()), (40, 0));
    format!("delivered after {:.0?}", began.elapsed())
}

fn delayed_job() -> String {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let jobs = queue.key("jobs");
    world.redis.command(&["XGROUP", "CREATE", &jobs, "postrider", "0", "MKSTREAM"]);
    queue.enqueue(&[("url", sink.url("/ok").as_str()), ("delay_ms", "3600000")]);
    world.redis.command(&["XREADGROUP", "GROUP", "postrider", "gone", "STREAMS", &jobs, ">"]);
    let _worker = world.worker(&["--lease", "1s"]);
    wait::eventually("the job is scheduled", DEADLINE, || (queue.scheduled() == 1).then_some(()));
    wait::unless_interrupted(Duration::from_secs(5));
    assert_eq!(sink.requests().len(), 0);
    "scheduled, and not sent within 5 s".to_owned()
}

fn keys_and_shards() -> String {
    let world = World::new(BUILD);
    let url = world.sink.url("/ok");
    let enqueue = || -> Vec<String> {
        let send =
            |number: usize| world.run(&["send", "POST", &url, "--key", &format!("order-{number}")]).stdout;
        (0..24).map(send).collect()
    };
    let shards = |number: &str| assert_eq!(world.run(&["queues", "shards", "default", number]).code(), 0);
    let first = enqueue();
    shards("4");
    assert_eq!(enqueue(), first, "after 1 to 4 shards");
    let _worker = world.worker(&[]);
    world.sink.wait_for(24, DEADLINE);
    for shard in ["default", "default/1", "default/2", "default/3"] {
        Queue::new(&world.redis, shard).wait_until_drained(DEADLINE);
    }
    shards("2");
    wait::eventually("shards that are given up", DEADLINE, || {
        let read = world.redis.command(&["HGET", "postrider:{default}:meta", "shards_before"]);
        (read.text() == "2").then_some(())
    });
    assert_eq!(enqueue(), first, "after 4 to 2 shards, of which two are read no more");
    wait::unless_interrupted(Duration::from_secs(2));
    assert_eq!(world.sink.requests().len(), 24);
    "24 keys, 24 requests".to_owned()
}

fn node_of_a_cluster() -> String {
    let nodes = cluster::start(3);
    let url = nodes[0].url();
    let run = |command: &[&str]| Postrider::run(BUILD, command, &[("POSTRIDER_REDIS_URL", &url)], DEADLINE);
    for command in [&["worker"][..], &["send", "http://127.0.0.1:9/"], &["queues"], &["jobs", "list"]] {
        let output = run(command);
        assert!(output.code() == 4 && output.stderr.contains("write redis-cluster://"), "{output:?}");
    }
    let doctor = run(&["doctor"]);
    assert!(doctor.code() == 1 && doctor.stdout.contains("write redis-cluster://"), "{doctor:?}");
    let mut alone = cluster::start(1);
    let world = World::on(BUILD, alone.remove(0));
    let _worker = world.worker(&[]);
    world.queue().enqueue(&[("url", world.sink.url("/ok"))]);
    world.sink.wait_for(1, DEADLINE);
    let doctor = world.run(&["doctor"]).stdout;
    assert!(doctor.lines().any(|line| line.starts_with("warn") && line.contains("cluster")), "{doctor}");
    "4 commands ended with 4; a node with all slots works".to_owned()
}

fn huge_entry() -> String {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    queue.enqueue(&[("url", sink.url("/huge").into_bytes()), ("body", vec![b'x'; 130_000_000])]);
    for number in 0..100 {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{number}")))]);
    }
    let began = Instant::now();
    let mut worker = world.worker(&["--lease", "2s"]);
    let mut starts = 1;
    if wait::eventually("an end", DEADLINE, || {
        let ended = worker.exited();
        (ended.is_some() || queue.drained().is_ok()).then_some(ended)
    })
    .is_some()
    {
        worker = world.worker(&["--lease", "2s"]);
        starts += 1;
        queue.wait_until_drained(DEADLINE);
    }
    assert_eq!(worker.exited(), None, "after {:?}", began.elapsed());
    let dead = queue.dead();
    assert_eq!((sink.requests().len(), dead.len()), (100, 1));
    let bytes: usize = dead[0].fields.iter().map(|(_, value)| value.len()).sum();
    assert!(bytes < 5_000_000, "the dead letter has {bytes} bytes");
    format!("{starts} starts, a dead letter of {bytes} bytes, {:.1?}", began.elapsed())
}
