//! Tests of order keys: jobs of one key are attempted one after the other, in the order in which they were enqueued.

mod stopped;

use std::time::Duration;

use e2e::process::{Build, Signal};
use e2e::queue::Queue;
use e2e::sink::SinkRequest;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually, eventually_or};
use e2e::world::World;

const BUILD: Build = Build::Otel;
/// Quick retries.
const CONFIG: &str = "[retry.default]\nwaits = [\"20ms\", \"20ms\", \"20ms\", \"20ms\"]\n";

/// A job of a key: `path` before its number, which its body has.
fn enqueue(queue: &Queue<'_>, url: &str, key: &str, number: usize, more: &[(&str, &str)]) -> String {
    let body = format!("{key} {number}");
    let own = [("url", url), ("order", key), ("body", &body)];
    queue.enqueue(&[&own[..], more].concat())
}

/// The numbers of the jobs of a key, in the order of their requests.
fn requests_of(requests: &[SinkRequest], key: &str) -> Vec<usize> {
    let number = |request: &SinkRequest| {
        let body = String::from_utf8(request.body.to_vec()).expect("a body of these tests is a text");
        let (own, number) = body.split_once(' ')?;
        (own == key).then(|| number.parse().expect("a number"))
    };
    requests.iter().filter_map(number).collect()
}

/// No job is attempted after a later one.
#[track_caller]
fn is_in_order(requests: &[SinkRequest], key: &str, jobs: usize) {
    let numbers = requests_of(requests, key);
    assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    let mut each = numbers.clone();
    each.dedup();
    assert_eq!(each, (0..jobs).collect::<Vec<_>>(), "{key}");
}

#[test]
fn jobs_of_a_key_are_sent_one_after_the_other_by_all_workers() {
    let world = World::new(BUILD);
    let (queue, sink, config) = (world.queue(), &world.sink, TextFile::new(CONFIG));
    let keys = ["a", "b", "c", "d"];
    for number in 0..30 {
        for key in keys {
            // A retry holds its line.
            let path = if number % 5 == 2 { format!("/flaky/2/{key}{number}") } else { "/slow/3".to_owned() };
            enqueue(&queue, &sink.url(&path), key, number, &[]);
        }
    }
    let arguments = ["--config", config.path(), "--concurrency", "16"];
    let _workers = [0; 3].map(|_| world.worker(&arguments));
    queue.wait_until_drained(DEADLINE);
    let requests = sink.requests();
    for key in keys {
        is_in_order(&requests, key, 30);
        assert_eq!(
            requests_of(&requests, key).len(),
            30 + 2 * 6,
            "{key}: each once, and two retries of every fifth"
        );
    }
    assert_eq!(queue.dead().len(), 0);
}

/// Two requests of a key never overlap, and requests of other keys are not delayed by it.
#[test]
fn different_keys_run_in_parallel() {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    for number in 0..3 {
        enqueue(&queue, &sink.url("/slow/700"), "slow", number, &[]);
    }
    for key in 0..40 {
        enqueue(&queue, &sink.url("/ok?other"), &format!("key-{key}"), 0, &[]);
    }
    queue.enqueue(&[("url", sink.url("/ok?other"))]);
    let _worker = world.worker(&[]);
    sink.wait_for_path("/ok?other", 41, DEADLINE);
    let slow = requests_of(&sink.requests(), "slow").len();
    assert!(slow <= 2, "{slow} of three slow jobs had begun");
    queue.wait_until_drained(DEADLINE);
    let arrivals: Vec<_> = sink.requests_to("/slow/700").iter().map(|request| request.arrived).collect();
    let pauses: Vec<Duration> = arrivals.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(
        pauses.len() == 2 && pauses.iter().all(|pause| *pause >= Duration::from_millis(700)),
        "{pauses:?}"
    );
}

#[test]
fn a_delayed_job_holds_its_place_and_so_does_a_held_one() {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    enqueue(&queue, &sink.url("/ok"), "a", 0, &[("delay_ms", "1500")]);
    enqueue(&queue, &sink.url("/ok"), "a", 1, &[]);
    // Its flow lets one attempt go at once: the second job of the key is held by its flow while it has its turn.
    let config = TextFile::new("[flows.narrow]\nconcurrency = 1\n");
    queue.enqueue(&[("url", sink.url("/slow/900").as_str()), ("flow", "narrow")]);
    enqueue(&queue, &sink.url("/ok"), "b", 0, &[("flow", "narrow")]);
    enqueue(&queue, &sink.url("/ok"), "b", 1, &[]);
    let _worker = world.worker(&["--config", config.path()]);
    queue.wait_until_drained(DEADLINE);
    let requests = sink.requests();
    is_in_order(&requests, "a", 2);
    is_in_order(&requests, "b", 2);
}

/// A cancelled job, a dead letter and an expired job give their turn to the next one.
#[test]
fn whatever_ends_a_job_gives_its_turn_to_the_next() {
    let world = World::new(BUILD);
    let (queue, sink) = (world.queue(), &world.sink);
    let first = enqueue(&queue, &sink.url("/slow/60000"), "a", 0, &[]);
    let second = enqueue(&queue, &sink.url("/ok"), "a", 1, &[]);
    enqueue(&queue, &sink.url("/status/410"), "a", 2, &[]);
    enqueue(&queue, &sink.url("/ok"), "a", 3, &[("expires_at", "1795396101000")]);
    enqueue(&queue, &sink.url("/ok"), "a", 4, &[("method", "CONNECT")]);
    enqueue(&queue, &sink.url("/ok"), "a", 5, &[("result_ttl_ms", "60000")]);
    enqueue(&queue, &sink.url("/ok"), "a", 6, &[]);
    let _worker = world.worker(&["--lease", "3s"]);
    sink.wait_for(1, DEADLINE);
    eventually("five jobs that wait for their turns", DEADLINE, || (queue.in_line() == 5).then_some(()));
    let shown = world.run(&["jobs", "show", &second]).stdout;
    assert!(shown.contains("held, for its turn, behind 1 of a"), "{shown}");
    let listed = world.run(&["jobs", "list", "--order", "a", "--json"]).stdout;
    let states: Vec<_> = listed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["state"].to_string())
        .collect();
    assert_eq!(states[..2], [r#""running""#, r#""held""#], "{listed}");
    assert_eq!(world.run(&["jobs", "run-now", &second]).code(), 1, "it would overtake");
    assert_eq!(world.run(&["jobs", "cancel", &second]).code(), 0);
    assert_eq!(sink.requests().len(), 1, "the first one still runs");
    assert_eq!(world.run(&["jobs", "cancel", &first]).code(), 0);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(requests_of(&sink.requests(), "a"), [0, 2, 5, 6]);
    assert_eq!(queue.dead().len(), 5);
    let places = world.redis.command(&["ZRANGE", &queue.key("order"), "0", "-1"]).array().len();
    assert_eq!(places, 1, "only the last entry that was looked at is left");
}

/// Workers die while they have turns, and while they ask for them.
#[test]
fn a_line_survives_the_death_of_workers() {
    let world = World::new(BUILD);
    let (queue, sink, config) = (world.queue(), &world.sink, TextFile::new(CONFIG));
    let keys = ["a", "b", "c", "d", "e", "f"];
    for number in 0..40 {
        for key in keys {
            let path = if number % 7 == 3 { format!("/flaky/1/{key}{number}") } else { "/slow/5".to_owned() };
            enqueue(&queue, &sink.url(&path), key, number, &[]);
        }
    }
    let arguments = ["--config", config.path(), "--lease", "1s", "--concurrency", "8"];
    let mut workers = [0; 3].map(|_| world.worker(&arguments));
    for round in 0..9 {
        let seen = sink.requests().len();
        eventually_or("progress", DEADLINE, || {
            let is_done = queue.drained().is_ok();
            if is_done || sink.requests().len() > seen + 5 { Ok(()) } else { Err("none") }
        });
        let own = &mut workers[round % 3];
        let signal = if round % 4 == 3 { Signal::SIGTERM } else { Signal::SIGKILL };
        own.signal(signal);
        own.wait_exit(DEADLINE);
        *own = world.worker(&arguments);
    }
    queue.wait_until_drained(4 * DEADLINE);
    let requests = sink.requests();
    for key in keys {
        is_in_order(&requests, key, 40);
    }
    assert_eq!(queue.dead().len(), 0);
}

/// A key has one shard, also if its jobs are enqueued with others.
#[test]
fn an_order_key_selects_its_shard() {
    let world = World::new(BUILD);
    let (redis, sink) = (&world.redis, &world.sink);
    redis.command(&["HSET", "postrider:{default}:meta", "shards", "4", "shards_before", "4"]);
    let names = ["default", "default/1", "default/2", "default/3"];
    let line = |number: usize| {
        let key = if number % 3 == 1 { format!(",\"key\":\"k{number}\"") } else { String::new() };
        let (url, order) = (sink.url("/slow/2"), number % 5);
        format!(
            "{{\"url\":\"{url}\",\"order\":\"key-{order}\",\"body\":\"key-{order} {}\"{key}}}\n",
            number / 5
        )
    };
    let file = TextFile::new(&(0..100).map(line).collect::<String>());
    assert_eq!(world.run(&["send", "--from", file.path()]).code(), 0);
    for number in 20..24 {
        let body = format!("key-1 {number}");
        let url = sink.url("/ok");
        assert_eq!(world.run(&["send", "POST", &url, "-d", &body, "--order", "key-1"]).code(), 0);
    }
    let depths = names.map(|name| Queue::new(redis, name).depth());
    assert!(depths.iter().all(|depth| depth % 20 == 0 || depth % 20 == 4), "{depths:?}");
    assert_eq!(depths.iter().sum::<i64>(), 104, "{depths:?}");
    let _workers = [0; 2].map(|_| world.worker(&[]));
    names.iter().for_each(|name| Queue::new(redis, name).wait_until_drained(DEADLINE));
    let requests = sink.requests();
    for key in 0..5 {
        is_in_order(&requests, &format!("key-{key}"), if key == 1 { 24 } else { 20 });
    }
}
