//! Tests that a shard which cannot work holds nothing that another part of the worker needs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::http_call::exchange;
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::wait::{DEADLINE, eventually, eventually_or};
use e2e::world::World;

const BUILD: Build = Build::Otel;

/// The keys of a queue that an accident gives a wrong type, and jobs whose settlement needs that key. 500 opens no
/// breaker.
const BROKEN: [(&str, &str); 3] =
    [("dead", "/status/404"), ("waiting", "/status/500"), ("scheduled", "/status/500")];
const QUEUES: [&str; 4] = ["dead", "waiting", "scheduled", "right"];
const SLOTS: usize = 4;
/// More than may be in flight.
const JOBS: usize = 100;
/// Jobs that may wait for their settlement, those in slots, and one that a blocking read fetched.
const IN_FLIGHT_MAX: i64 = 16 + 1 + SLOTS as i64 + 1;

/// All slots are in attempts that will fail, so nothing is left to fetch with.
#[test]
fn settlements_without_a_group_create_it_again() {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&["--concurrency", "4"]);
    for number in 0..SLOTS {
        // In its own flow, so that none is held.
        let flow = format!("flow-{number}");
        queue.enqueue(&[("url", sink.url("/hang")), ("timeout_ms", "3000".to_owned()), ("flow", flow)]);
    }
    sink.wait_for(SLOTS, DEADLINE);
    world.redis.command(&["FLUSHALL"]);
    queue.enqueue(&[("url", sink.url("/ok"))]);
    sink.wait_for_path("/ok", 1, Duration::from_secs(10));
    queue.wait_until_drained(DEADLINE);
}

/// The same for the completer: jobs that succeed.
#[test]
fn a_completer_without_a_group_creates_it_again() {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&["--concurrency", "1"]);
    queue.enqueue(&[("url", sink.url("/slow/500"))]);
    sink.wait_for(1, DEADLINE);
    world.redis.command(&["XGROUP", "DESTROY", &queue.key("jobs"), "postrider"]);
    queue.enqueue(&[("url", sink.url("/ok"))]);
    sink.wait_for_path("/ok", 1, Duration::from_secs(5));
    queue.wait_until_drained(DEADLINE);
}

#[test]
fn a_shard_that_cannot_settle_stops_only_itself() {
    let world = BrokenWorld::new();
    let (redis, sink) = (&world.0.redis, &world.0.sink);
    let (mut worker, status) = world.worker();
    for queue in world.broken() {
        eventually_or("a shard that has stopped", DEADLINE, || match queue.pending() {
            17.. => Ok(()),
            pending => Err(format!("{pending} in flight\n{}", worker.log().join("\n"))),
        });
    }
    // They fetch no more, and the sound one is as fast as alone.
    let (sound, start) = (Queue::new(redis, "sound"), Instant::now());
    let job = [("url", sink.url("/ok?sound")), ("flow", "sound".to_owned())];
    (0..200).for_each(|_| drop(sound.enqueue(&job)));
    sink.wait_for_path("/ok?sound", 200, DEADLINE);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for queue in world.broken() {
        assert!(queue.pending() <= IN_FLIGHT_MAX, "{} jobs are in flight", queue.pending());
    }
    let (code, text) = get(status, "/readyz");
    assert_eq!(code, 200, "{text}");
    for name in QUEUES {
        assert!(text.contains(&format!("the queue {name} does not work: Redis refuses")), "{text}");
        worker.wait_for_log(&format!("\"queue\":\"{name}\""), DEADLINE);
    }
    let metrics = get(status, "/metrics").1;
    let value = |metric: &str, queue: &str| value(&metrics, metric, queue);
    assert_eq!(value("postrider_queue_troubled_shards", "dead"), Some(1.0), "{metrics}");
    assert_eq!(value("postrider_queue_troubled_shards", "sound"), Some(0.0), "{metrics}");
    assert!(value("postrider_job_unsettled", "dead").is_some_and(|jobs| jobs >= 17.0), "{metrics}");
    // The accidents are corrected: each job goes on, and none was sent twice for them.
    world.correct();
    eventually("all are delivered", DEADLINE, || (sink.requests_to("/ok?kept").len() == JOBS).then_some(()));
    Queue::new(redis, "right").wait_until_drained(DEADLINE);
    eventually("dead letters", DEADLINE, || (Queue::new(redis, "dead").dead().len() == JOBS).then_some(()));
    assert_eq!(sink.requests_to("/status/404").len(), JOBS);
    assert_eq!(sink.requests_to("/ok?kept").len(), JOBS);
}

/// Queues with jobs that cannot be settled, each for another reason.
struct BrokenWorld(World);

impl BrokenWorld {
    fn new() -> BrokenWorld {
        let world = World::new(BUILD)
            .with("OTEL_ENABLED", "true")
            .with("OTEL_TRACES_EXPORTER", "none")
            .with("OTEL_METRICS_EXPORTER", "prometheus");
        let (redis, sink) = (&world.redis, &world.sink);
        redis.command(&["ACL", "SETUSER", "worker", "on", ">pw", "~*", "&*", "+@all", "-set"]);
        for (name, path) in BROKEN {
            let queue = Queue::new(redis, name);
            redis.command(&["SET", &queue.key(name), "oops"]);
            // Each queue has its flow, so that failures of one open no breaker for another.
            let job = [("url", sink.url(path)), ("flow", name.to_owned())];
            (0..JOBS).for_each(|_| drop(queue.enqueue(&job)));
        }
        let kept = [
            ("url", sink.url("/ok?kept")),
            ("result_ttl_ms", "60000".to_owned()),
            ("flow", "right".to_owned()),
        ];
        (0..JOBS).for_each(|_| drop(Queue::new(redis, "right").enqueue(&kept)));
        BrokenWorld(world)
    }

    /// A worker without the right to store results, and the address of its endpoint. It has one thread, since each has its
    /// own limit of jobs that wait for their settlement.
    fn worker(&self) -> (Postrider, SocketAddr) {
        let url = self.0.redis.url().replace("redis://", "redis://worker:pw@");
        let queues = ["--queue", "dead,waiting,scheduled,right,sound", "--concurrency", "4"];
        let more = ["--threads", "1", "--retry-base", "10ms", "--listen", "127.0.0.1:0"];
        let arguments = [&queues[..], &more].concat();
        let mut worker = self.0.worker_with(&arguments, &[("POSTRIDER_REDIS_URL", &url)]);
        let status = listener(&mut worker);
        (worker, status)
    }

    fn broken(&self) -> [Queue<'_>; 4] {
        QUEUES.map(|name| Queue::new(&self.0.redis, name))
    }

    fn correct(&self) {
        for (name, _) in BROKEN {
            self.0.redis.command(&["DEL", &Queue::new(&self.0.redis, name).key(name)]);
        }
        self.0.redis.command(&["ACL", "SETUSER", "worker", "+set"]);
    }
}

/// The value of a metric for a queue.
fn value(metrics: &str, metric: &str, queue: &str) -> Option<f64> {
    let queue = format!("messaging_destination_name=\"{queue}\"");
    let line = metrics.lines().find(|line| line.starts_with(metric) && line.contains(&queue))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// At the start of a worker too.
#[test]
fn a_queue_that_cannot_be_read_stops_no_other() {
    let world = World::new(BUILD);
    let (broken, sound) = (Queue::new(&world.redis, "broken"), Queue::new(&world.redis, "sound"));
    world.redis.command(&["SET", &broken.key("jobs"), "oops"]);
    let mut worker = world.worker(&["--queue", "broken,sound", "--listen", "127.0.0.1:0"]);
    let status = listener(&mut worker);
    sound.enqueue(&[("url", world.sink.url("/ok"))]);
    world.sink.wait_for(1, DEADLINE);
    let (code, text) = get(status, "/readyz");
    assert!(code == 200 && text.contains("the queue broken does not work: Redis at"), "{code} {text}");
    worker.wait_for_log("cannot read a shard of this queue", DEADLINE);
    world.redis.command(&["DEL", &broken.key("jobs")]);
    broken.enqueue(&[("url", world.sink.url("/ok"))]);
    world.sink.wait_for(2, DEADLINE);
    // The other threads read it again a moment later.
    eventually("all threads read it", DEADLINE, || (get(status, "/readyz").1 == "ok\n").then_some(()));
}

/// A worker of which no shard works is not ready.
#[test]
fn a_worker_whose_only_shard_is_refused_is_not_ready() {
    let world = World::new(BUILD);
    let queue = world.queue();
    let mut worker = world.worker(&["--listen", "127.0.0.1:0"]);
    let status = listener(&mut worker);
    assert_eq!(get(status, "/readyz").0, 200);
    world.redis.command(&["SET", &queue.key("scheduled"), "oops"]);
    eventually("not ready", DEADLINE, || {
        let (status, text) = get(status, "/readyz");
        (status == 503 && text.contains("the queue default does not work: Redis refuses")).then_some(())
    });
    world.redis.command(&["DEL", &queue.key("scheduled")]);
    eventually("ready again", DEADLINE, || (get(status, "/readyz").0 == 200).then_some(()));
}

/// Jobs that were in flight with a job that killed its workers are suspects too.
#[test]
fn a_suspect_that_hangs_keeps_the_others_waiting_for_a_short_time() {
    const INNOCENTS: usize = 10;
    let world = World::new(BUILD);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    let (jobs, workers) = (queue.key("jobs"), queue.key("workers"));
    redis.command(&["XGROUP", "CREATE", &jobs, "postrider", "0", "MKSTREAM"]);
    redis.command(&["HSET", &workers, "ghost", r#"{"lease_ms":500,"seen":1}"#]);
    queue.enqueue(&[("url", sink.url("/hang")), ("timeout_ms", "3600000".to_owned())]);
    (0..INNOCENTS).for_each(|_| drop(queue.enqueue(&[("url", sink.url("/ok"))])));
    let twice = "for _, entry in ipairs(redis.call('XREADGROUP', 'GROUP', 'postrider', 'ghost', 'STREAMS', KEYS[1], '>')[1][2]) do \
                 redis.call('XCLAIM', KEYS[1], 'postrider', 'ghost', 0, entry[1], 'RETRYCOUNT', 2) end";
    redis.command(&["EVAL", twice, "1", &jobs]);
    let _worker = world.worker(&["--lease", "1s"]);
    sink.wait_for_path("/hang", 1, DEADLINE);
    sink.wait_for_path("/ok", INNOCENTS, Duration::from_secs(10));
}

/// The address of a worker's endpoint.
fn listener(worker: &mut Postrider) -> SocketAddr {
    let line = worker.wait_for_log("status listens on http://", DEADLINE);
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    address.expect("the line was looked for").parse().expect("an address")
}

/// The status and the text that the endpoint answers.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = exchange(address, "GET", path, &[], b"", DEADLINE).expect("the endpoint answers");
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}
