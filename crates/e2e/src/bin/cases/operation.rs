//! What an operator does to a worker and to Redis, and what the worker reports.

use std::time::{Duration, Instant};

use e2e::process::Signal;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "signals_other_than_sigterm",
        does: "SIGUSR1, SIGUSR2, then SIGQUIT, while a job hangs",
        expects: "the first two are ignored; SIGQUIT ends the worker within 5 s with exit code 0, and the job is handed back",
        run: signals,
    },
    Case {
        name: "a_server_without_a_free_connection",
        does: "`maxclients` is reached while the worker runs",
        expects: "the log has the server's reason, and the worker goes on afterwards",
        run: no_free_connection,
    },
    Case {
        name: "an_entry_of_the_year_2286",
        does: "an entry id of the year 2286 among ordinary jobs",
        expects: "all are delivered, `queues` shows no absurd age, and `doctor` shows how to repair the stream",
        run: far_future,
    },
    Case {
        name: "a_worker_that_is_paused",
        does: "SIGSTOP for 3 s with a lease of 1 s",
        expects: "the worker logs its own pause, and no jump of Redis' clock",
        run: paused,
    },
];

fn signals() -> String {
    let world = World::new(BUILD);
    let (queue, mut worker) = (world.queue(), world.worker(&["--shutdown-timeout", "10m"]));
    queue.enqueue(&[("url", world.sink.url("/hang").as_str()), ("timeout_ms", "3600000")]);
    world.sink.wait_for(1, DEADLINE);
    for (signal, name) in [(Signal::SIGUSR1, "SIGUSR1"), (Signal::SIGUSR2, "SIGUSR2")] {
        worker.signal(signal);
        worker.wait_for_log(&format!("{name} is ignored"), DEADLINE);
    }
    let began = Instant::now();
    worker.signal(Signal::SIGQUIT);
    assert_eq!(worker.wait_exit(Duration::from_secs(5)).code(), Some(0));
    assert_eq!((queue.pending(), queue.depth(), queue.dead().len()), (0, 1, 0), "it is handed back");
    format!("ended after {:.1?}", began.elapsed())
}

fn no_free_connection() -> String {
    let world = World::new(BUILD);
    let (queue, mut worker) = (world.queue(), world.worker(&[]));
    // The connection that asks is the only one.
    let mut own = world.redis.connect();
    own.command(&["CONFIG", "SET", "maxclients", "1"]).expect("the server answers");
    own.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).expect("the server answers");
    let line = worker.wait_for_log("max number of clients reached", DEADLINE);
    own.command(&["CONFIG", "SET", "maxclients", "1000"]).expect("the server answers");
    queue.enqueue(&[("url", world.sink.url("/ok"))]);
    world.sink.wait_for(1, DEADLINE);
    assert_eq!(worker.exited(), None);
    format!("logged: {line:.120}")
}

fn far_future() -> String {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let jobs = world.queue().key("jobs");
    let _worker = world.worker(&[]);
    world.queue().enqueue(&[("url", sink.url("/ok"))]);
    redis.command(&["XADD", &jobs, "9999999999999-0", "url", &sink.url("/ok?future")]);
    // Ids after it continue its time.
    world.queue().enqueue(&[("url", sink.url("/flaky/1/after"))]);
    sink.wait_for(4, DEADLINE);
    world.queue().wait_until_drained(DEADLINE);
    let doctor = world.run(&["doctor"]);
    assert!(doctor.stdout.contains(&format!("XSETID {jobs}")), "{doctor:?}");
    redis.command(&["XADD", &jobs, "99999999999999-0", "url", &sink.url("/hang")]);
    let queues = wait::eventually("a table", DEADLINE, || Some(world.run(&["queues", "--json"]))).json();
    assert!(queues["oldest_ms"].as_u64().is_none_or(|age| age < 60_000), "{queues}");
    "all 4 requests were sent; `doctor` names XSETID".to_owned()
}

fn paused() -> String {
    let world = World::new(BUILD);
    let mut worker = world.worker(&["--lease", "1s"]);
    worker.signal(Signal::SIGSTOP);
    wait::unless_interrupted(Duration::from_secs(3));
    worker.signal(Signal::SIGCONT);
    let line = worker.wait_for_log("this worker did not run for a while", DEADLINE);
    world.queue().enqueue(&[("url", world.sink.url("/ok"))]);
    world.sink.wait_for(1, DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
    let log = worker.log().join("\n");
    assert!(!log.contains("clock has jumped"), "{log}");
    format!("logged: {line:.120}")
}
