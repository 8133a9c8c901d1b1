//! Queues in Redis: places where a job could be lost, and limits that must hold for each queue alone.

use std::time::{Duration, Instant};

use e2e::queue::Queue;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_queue_that_cannot_be_settled",
        does: "one queue's dead letters are a key of a wrong type; another queue has 10 jobs a second",
        expects: "the other queue has at least nine tenths of its jobs in 20 s, and the log names the broken key",
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
];

fn broken_queue() {
    const RATE: u64 = 10;
    let world = World::new(BUILD);
    let (broken, healthy) = (Queue::new(&world.redis, "broken"), Queue::new(&world.redis, "healthy"));
    world.redis.command(&["SET", &broken.key("dead"), "of a wrong type"]);
    let worker = world.worker(&["--queue", "broken", "--queue", "healthy", "--concurrency", "16"]);
    for _ in 0..500 {
        broken.enqueue(&[("url", world.sink.url("/status/404"))]);
    }
    wait::unless_interrupted(Duration::from_secs(2));
    let jobs = 20 * RATE;
    for number in 0..jobs {
        healthy.enqueue(&[("url", world.sink.url(&format!("/ok?{number}")))]);
        wait::unless_interrupted(Duration::from_millis(1000 / RATE));
    }
    let sent = world.sink.requests().iter().filter(|request| request.path.starts_with("/ok")).count();
    assert!(sent as u64 * 10 >= jobs * 9, "{sent} of {jobs}");
    assert!(worker.log().iter().any(|line| line.contains("broken")), "{}", worker.log().join("\n"));
    world.redis.command(&["DEL", &broken.key("dead")]);
    broken.wait_until_drained(DEADLINE);
}

fn removed_consumer() {
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
    let is_named = doctor.lines().any(|line| line.contains("queue") && !line.starts_with("ok"));
    assert!(is_named, "doctor names no problem of the queue: {doctor}");
    let _worker = world.worker(&["--lease", "5s"]);
    queue.wait_until_drained(Duration::from_secs(70));
    assert_eq!((sink.requests().len(), queue.dead().len()), (40, 0));
}

fn delayed_job() {
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
}

fn huge_entry() {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    queue.enqueue(&[("url", sink.url("/huge").into_bytes()), ("body", vec![b'x'; 130_000_000])]);
    for number in 0..100 {
        queue.enqueue(&[("url", sink.url(&format!("/ok?{number}")))]);
    }
    let began = Instant::now();
    let mut worker = world.worker(&["--lease", "2s"]);
    if wait::eventually("an end", DEADLINE, || {
        let ended = worker.exited();
        (ended.is_some() || queue.drained().is_ok()).then_some(ended)
    })
    .is_some()
    {
        worker = world.worker(&["--lease", "2s"]);
        queue.wait_until_drained(DEADLINE);
    }
    assert_eq!(worker.exited(), None, "after {:?}", began.elapsed());
    let dead = queue.dead();
    assert_eq!((sink.requests().len(), dead.len()), (100, 1));
    let bytes: usize = dead[0].fields.iter().map(|(_, value)| value.len()).sum();
    assert!(bytes < 5_000_000, "the dead letter has {bytes} bytes");
}
