//! Tests of the number of shards, and of its changes.

use e2e::process::Postrider;
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;

use super::{BUILD, flood, send};

#[test]
fn a_queue_is_given_more_shards_and_fewer_while_jobs_run() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let _worker = world.worker(&[]);
    flood(redis, "default", &sink.url("/ok?0"), 3);
    sink.wait_for_path("/ok?0", 3, DEADLINE);
    let meta = "postrider:{default}:meta";
    redis.command(&["HSET", meta, "shards", "3", "shards_before", "3"]);
    flood(redis, "default/2", &sink.url("/ok?2"), 3);
    sink.wait_for_path("/ok?2", 3, DEADLINE);
    // Fewer: the jobs of a higher shard are delivered, and then the shard is removed.
    flood(redis, "default/1", &sink.url("/flaky/2/higher"), 1);
    redis.command(&["HSET", meta, "shards", "1", "shards_before", "3"]);
    sink.wait_for_path("/flaky/2/higher", 3, DEADLINE);
    eventually("shards that are given up", DEADLINE, || {
        (redis.command(&["HGET", meta, "shards_before"]).text() == "1").then_some(())
    });
    Queue::new(redis, "default/1").wait_until_drained(DEADLINE);
}

#[test]
fn the_number_of_shards_is_set_by_a_command() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    let url = redis.url();
    let shards = |arguments: &[&str]| {
        let arguments = [&["queues", "shards"], arguments, &["--redis-url", &url]].concat();
        Postrider::run(BUILD, &arguments, &[("POSTRIDER_QUEUE", "other")], DEADLINE)
    };
    let _worker = world.worker(&[]);
    assert_eq!(shards(&["default", "4"]).stdout, "default: 4 shards\n");
    flood(redis, "default/3", &sink.url("/ok?3"), 3);
    sink.wait_for_path("/ok?3", 3, DEADLINE);
    flood(redis, "default/2", &sink.url("/flaky/2/higher"), 1);
    assert_eq!(shards(&["default", "2"]).stdout, "default: 2 shards, 2 more are read until they are empty\n");
    sink.wait_for_path("/flaky/2/higher", 3, DEADLINE);
    eventually("shards that are given up", DEADLINE, || {
        let found = redis.command(&["HMGET", "postrider:{default}:meta", "shards", "shards_before"]);
        (found.array()[0].text() == "2" && found.array()[1].text() == "2").then_some(())
    });
    assert_eq!(shards(&["mail", "1", "--json"]).json()["read"], 1);
    for wrong in
        [&["default", "0"][..], &["default", "65"], &["default", "many"], &["a b", "2"], &["default"]]
    {
        let output = shards(wrong);
        assert_eq!((output.code(), output.stderr.contains("error:")), (2, true), "{wrong:?}: {output:?}");
    }
    assert!(shards(&["default", "65"]).stderr.contains("1..=64"));
    redis.command(&["SET", "postrider:{bad}:meta", "of another type"]);
    let output = shards(&["bad", "2"]);
    assert!(output.code() == 4 && output.stderr.contains("WRONGTYPE"), "{output:?}");
}

#[test]
fn a_worker_that_starts_reads_all_shards() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    redis.command(&["HSET", "postrider:{default}:meta", "shards", "2", "shards_before", "4"]);
    for shard in ["default", "default/1", "default/2", "default/3"] {
        flood(redis, shard, &sink.url("/ok"), 5);
    }
    let mut worker = world.worker(&[]);
    sink.wait_for(20, DEADLINE);
    for shard in ["default", "default/1", "default/2", "default/3"] {
        Queue::new(redis, shard).wait_until_drained(DEADLINE);
    }
    assert!(worker.stop().success());
}

/// The number of shards decides where a key is. It counts for its whole life, whatever the number is by then.
#[test]
fn an_idempotency_key_outlives_changes_of_the_number_of_shards() {
    let redis = RedisServer::start();
    let keys: Vec<String> = (0..8).map(|number| format!("order-{number}")).collect();
    let enqueue = || -> Vec<String> {
        let job_id = |key: &String| send(&redis, &["http://127.0.0.1:1/", "--key", key]).stdout;
        keys.iter().map(job_id).collect()
    };
    let reshard = |shards: &str| {
        let arguments = ["queues", "shards", "default", shards, "--redis-url", &redis.url()];
        assert_eq!(Postrider::run(BUILD, &arguments, &[], DEADLINE).code(), 0);
    };
    let first = enqueue();
    for shards in ["4", "2", "3", "1"] {
        reshard(shards);
        // As if the former shards were drained, and read no more.
        redis.command(&["HSET", "postrider:{default}:meta", "shards_before", shards]);
        assert_eq!(enqueue(), first, "{shards} shards");
    }
}

/// The same for the jobs of a file, which are enqueued in groups.
#[test]
fn the_keys_of_a_file_outlive_changes_of_the_number_of_shards() {
    let redis = RedisServer::start();
    let line = |number: usize| format!("{{\"url\":\"http://127.0.0.1:1/\",\"key\":\"order-{number}\"}}\n");
    let file = TextFile::new(&(0..300).map(line).collect::<String>());
    let calls = || {
        let stats = redis.command(&["INFO", "commandstats"]).text();
        let calls = |name: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
            line.and_then(|line| line.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        calls("evalsha") + calls("eval")
    };
    let enqueue = || {
        let arguments = ["send", "--from", file.path(), "--json", "--redis-url", &redis.url()];
        let report = Postrider::run(BUILD, &arguments, &[], DEADLINE).json();
        (report["enqueued"].as_u64(), report["known"].as_u64())
    };
    let reshard = |shards: &str| {
        let meta = "postrider:{default}:meta";
        let arguments = ["queues", "shards", "default", shards, "--redis-url", &redis.url()];
        assert_eq!(Postrider::run(BUILD, &arguments, &[], DEADLINE).code(), 0);
        // As if the former shards were drained, and read no more.
        redis.command(&["HSET", meta, "shards_before", shards]);
    };
    reshard("3");
    assert_eq!(enqueue(), (Some(300), Some(0)));
    let depths = ["default", "default/1", "default/2"].map(|name| Queue::new(&redis, name).depth());
    assert!(depths.iter().all(|depth| *depth > 0) && depths.iter().sum::<i64>() == 300, "{depths:?}");
    for shards in ["4", "2", "1"] {
        reshard(shards);
        let before = calls();
        assert_eq!(enqueue(), (Some(0), Some(300)), "{shards} shards");
        assert!(calls() - before < 20, "{} calls", calls() - before);
    }
    // A single job has the same key, and the same shard.
    let single = send(&redis, &["http://127.0.0.1:1/", "--key", "order-7"]);
    let depths =
        ["default", "default/1", "default/2", "default/3"].map(|name| Queue::new(&redis, name).depth());
    assert_eq!((single.code(), depths.iter().sum::<i64>()), (0, 300), "{single:?}");
}
