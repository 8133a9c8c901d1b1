//! How many jobs had which outcome.

use e2e::wait::{self, DEADLINE};
use e2e::world::World;
use serde_json::{Value, json};

use super::{BUILD, Console, NOWHERE};

/// The number of buckets, and their sums: succeeded, retried, dead, cancelled.
fn counts(console: &Console, queue: &str, over: &str) -> (usize, [u64; 4]) {
    let (status, answer) = console.get(&format!("/v1/queues/{queue}/counts?over={over}"));
    assert_eq!(status, 200, "{answer}");
    let buckets = answer["buckets"].as_array().expect("a list");
    let times: Vec<u64> = buckets.iter().map(|bucket| bucket["at"].as_u64().expect("a time")).collect();
    let length = answer["bucket_ms"].as_u64().expect("a length");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == length), "{times:?}");
    let sum = |name: &str| buckets.iter().map(|bucket| bucket[name].as_u64().expect("a number")).sum();
    (buckets.len(), ["succeeded", "retried", "dead", "cancelled"].map(sum))
}

#[test]
fn outcomes_are_counted_in_every_range() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let queue = world.queue();
    let late = queue.enqueue(&[("url", NOWHERE)]);
    console.call("POST", &format!("/v1/queues/default/jobs/{late}/cancel"), &[], "");
    let _worker = world.worker(&[]);
    (0..20).for_each(|_| drop(queue.enqueue(&[("url", world.sink.url("/ok"))])));
    queue.enqueue(&[("url", world.sink.url("/status/404"))]);
    queue.enqueue(&[("url", &*world.sink.url("/status/500")), ("max_attempts", "2")]);
    let mut seen = [0; 4];
    wait::eventually("all outcomes are counted", DEADLINE, || {
        seen = counts(&console, "default", "1h").1;
        (seen.iter().sum::<u64>() >= 24).then_some(())
    });
    assert_eq!(seen, [20, 1, 2, 1]);
    for (over, buckets) in [("1h", 60), ("24h", 144), ("14d", 336)] {
        assert_eq!(counts(&console, "default", over), (buckets, [20, 1, 2, 1]), "{over}");
    }
    let (_, answer) = console.get("/v1/queues/default/counts");
    assert_eq!(answer["bucket_ms"], json!(60_000));
    let last: &Value = answer["buckets"].as_array().and_then(|all| all.last()).expect("a bucket");
    assert!(last["at"].as_u64().is_some_and(|at| at % 60_000 == 0), "{last}");
    console.refuses(("GET", "/v1/queues/default/counts?over=2h", &[], ""), 400, "write 1h, 24h or 14d");
    console.refuses(("GET", "/v1/queues/nosuch/counts", &[], ""), 404, "no queue nosuch");
}

#[test]
fn the_shards_of_a_queue_are_counted_together() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    assert_eq!(world.run(&["queues", "shards", "mail", "3"]).code(), 0);
    let _worker = world.worker(&["--queue", "mail"]);
    let line = json!({"url": world.sink.url("/ok")}).to_string() + "\n";
    for _ in 0..12 {
        console.call("POST", "/v1/queues/mail/jobs", &[super::NDJSON], &line);
    }
    wait::eventually("all jobs are counted", DEADLINE, || {
        (counts(&console, "mail", "1h").1 == [12, 0, 0, 0]).then_some(())
    });
}

#[test]
fn a_worker_counts_all_before_it_ends() {
    let world = World::new(BUILD);
    let console = Console::start(&world);
    let mut worker = world.worker(&[]);
    (0..300).for_each(|_| drop(world.queue().enqueue(&[("url", world.sink.url("/ok"))])));
    world.sink.wait_for(300, DEADLINE);
    worker.stop();
    assert_eq!(counts(&console, "default", "1h").1, [300, 0, 0, 0]);
}
