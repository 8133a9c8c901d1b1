//! Jobs that the library enqueues together, in calls of which two are under way.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::cluster;
use e2e::redis::RedisServer;
use e2e::resp::Reply;
use e2e::scripts::{key, key_of};
use e2e::wait::{DEADLINE, eventually_or};
use postrider_queue::{BatchError, Fields, NewJob, QueueName, Redis};
use telemetry::Telemetry;

const JOBS: usize = 3_000;
/// How often Redis has refused jobs when the test ends.
const REFUSALS: usize = 10;

fn job(number: usize) -> NewJob {
    let fields: Fields =
        vec![("url".into(), "http://127.0.0.1:9/".into()), ("body".into(), number.to_string().into())];
    fields.into()
}

/// The numbers of the jobs in the stream, in its order.
fn numbers(redis: &RedisServer) -> Vec<usize> {
    let entries = redis.command(&["XRANGE", &key("jobs"), "-", "+"]);
    let number = |fields: &[e2e::resp::Reply]| fields[3].text().parse().expect("the body is a number");
    entries.array().iter().map(|entry| number(entry.array()[1].array())).collect()
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime needs no more than a few file descriptors").block_on(work);
}

/// Redis is full for a moment, again and again.
fn fill_and_drain(redis: &RedisServer, is_over: &AtomicBool) {
    let mut connection = redis.connect();
    let pauses = [150, 700, 1_300, 300, 2_000, 450, 100].into_iter().cycle();
    for (pause, bytes) in pauses.zip(["1", "0"].into_iter().cycle()) {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        connection.command(&["CONFIG", "SET", "maxmemory", bytes]).expect("Redis answers");
        std::thread::sleep(Duration::from_micros(pause));
    }
    connection.command(&["CONFIG", "SET", "maxmemory", "0"]).expect("Redis answers");
}

#[test]
fn no_job_is_enqueued_behind_one_that_a_full_redis_refuses() {
    let server = RedisServer::start();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| fill_and_drain(&server, &is_over));
        let enqueued = catch_unwind(AssertUnwindSafe(|| block_on(enqueue(&server))));
        is_over.store(true, Ordering::Relaxed);
        enqueued.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

/// Enqueues jobs until Redis has refused enough in the middle.
async fn enqueue(server: &RedisServer) {
    let redis = Redis::connect(&server.url(), &Telemetry::disabled()).await.expect("Redis answers");
    let name: QueueName = "default".parse().expect("a name");
    let (began, mut refusals) = (Instant::now(), 0);
    while refusals < REFUSALS {
        assert!(began.elapsed() < DEADLINE, "Redis has refused {refusals} times in the middle");
        server.command(&["DEL", &key("jobs")]);
        let jobs = (0..JOBS).map(job).collect();
        let enqueued = match redis.enqueue_all(&name, jobs).await {
            Ok(publications) => publications.len(),
            Err(BatchError { publications, .. }) => {
                let enqueued = publications.iter().flatten().count();
                assert!(publications[..enqueued].iter().all(Option::is_some), "a job overtook another one");
                refusals += usize::from(enqueued > 0);
                enqueued
            }
        };
        assert_eq!(numbers(server), (0..enqueued).collect::<Vec<_>>());
    }
    redis.close().await;
}

#[test]
fn many_jobs_are_enqueued_in_their_order_and_nothing_else_is_left() {
    let server = RedisServer::start();
    block_on(async {
        let redis = Redis::connect(&server.url(), &Telemetry::disabled()).await.expect("Redis answers");
        let name: QueueName = "default".parse().expect("a name");
        for jobs in [1, 250, 251, JOBS] {
            server.command(&["DEL", &key("jobs")]);
            let publications =
                redis.enqueue_all(&name, (0..jobs).map(job).collect()).await.expect("they are enqueued");
            let entries = server.command(&["XRANGE", &key("jobs"), "-", "+"]);
            let entries: Vec<String> = entries.array().iter().map(|entry| entry.array()[0].text()).collect();
            let expected: Vec<String> =
                publications.iter().map(|publication| publication.entry.to_string()).collect();
            assert_eq!((entries, numbers(&server)), (expected, (0..jobs).collect::<Vec<_>>()));
            let jobs_alone = Reply::Array(vec![Reply::Bulk(key("jobs").into_bytes())]);
            eventually_or("the series is forgotten", DEADLINE, || {
                let keys = server.command(&["KEYS", "*"]);
                if keys == jobs_alone { Ok(()) } else { Err(format!("{keys:?}")) }
            });
        }
        redis.close().await;
    });
}

/// Redis Cluster refuses a script with two keys of a slot that is on its way, if it has only one of them.
#[test]
fn many_jobs_are_enqueued_while_their_slot_is_on_its_way() {
    let nodes = cluster::start(3);
    let home = cluster::index_of(&nodes, &key("jobs"));
    let (from, to) = (&nodes[home], &nodes[(home + 1) % 3]);
    from.command(&["XADD", &key("jobs"), "*", "url", "http://127.0.0.1:9/", "body", "0"]);
    let slot = from.command(&["CLUSTER", "KEYSLOT", &key("jobs")]).integer().to_string();
    let id = |node: &RedisServer| node.command(&["CLUSTER", "MYID"]).text();
    to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
    from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
    block_on(async {
        let url = format!("redis-cluster://127.0.0.1:{}", nodes[0].port);
        let redis = Redis::connect(&url, &Telemetry::disabled()).await.expect("the cluster answers");
        let name: QueueName = "default".parse().expect("a name");
        redis.enqueue_all(&name, (1..JOBS).map(job).collect()).await.expect("they are enqueued");
        assert_eq!(numbers(from), (0..JOBS).collect::<Vec<_>>());
        redis.close().await;
    });
}

#[test]
fn many_jobs_are_spread_over_the_shards() {
    const SHARDS: u32 = 3;
    let server = RedisServer::start();
    server.command(&["HSET", &key("meta"), "shards", &SHARDS.to_string()]);
    block_on(async {
        let redis = Redis::connect(&server.url(), &Telemetry::disabled()).await.expect("Redis answers");
        let name: QueueName = "default".parse().expect("a name");
        redis.enqueue_all(&name, (0..JOBS).map(job).collect()).await.expect("they are enqueued");
        redis.close().await;
    });
    let jobs = |shard| server.command(&["XLEN", &key_of(shard, "jobs")]).integer();
    assert_eq!((0..SHARDS).map(jobs).collect::<Vec<_>>(), [1000; 3]);
}
