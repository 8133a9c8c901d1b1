//! Notices: jobs for operators, each enqueued once by all workers together.

use e2e::process::{Build, Postrider};
use e2e::proxy::{Mode, Proxy};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::resp::Reply;
use e2e::sink::{Sink, SinkRequest};
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;
use serde_json::{Value, json};

e2e::in_both_builds!(
    a_flow_that_fails_for_long_is_reported_once_and_so_is_its_recovery,
    a_notice_that_cannot_be_delivered_makes_no_other,
    a_late_queue_is_reported_once_and_so_is_its_end,
    a_notice_that_is_dead_or_cannot_be_enqueued_is_named_by_doctor,
    a_worker_refuses_a_notice_whose_secret_does_not_exist,
);

/// A breaker that opens soon and is tried soon.
const FLOWS: &str =
    "[flows.default]\nbreaker_failures = 2\nbreaker_pause = \"200ms\"\nbreaker_longest = \"300ms\"\n";

fn config(url: &str, more: &str) -> TextFile {
    TextFile::new(&format!("{FLOWS}[notice]\nurl = \"{url}\"\n{more}"))
}

fn bodies(requests: &[SinkRequest]) -> Vec<Value> {
    requests.iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect()
}

/// The kinds of the notices so far, once nothing is left that has not ended.
fn all_ended(redis: &RedisServer, queue: &Queue<'_>, sink: &Sink) -> Vec<Value> {
    let key = queue.key("notices");
    eventually_or("every notice has ended", DEADLINE, || {
        let left = redis.command(&["HLEN", &key]).integer();
        if left == 0 { Ok(()) } else { Err(left) }
    });
    queue.wait_until_drained(DEADLINE);
    bodies(&sink.requests_to("/notice"))
}

fn a_flow_that_fails_for_long_is_reported_once_and_so_is_its_recovery(build: Build) {
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    let proxy = Proxy::start_down(sink.address().port());
    let config = config(&sink.url("/notice"), "flow_failed_after = \"1s\"\n");
    let workers = [(); 3].map(|()| world.worker(&["--config", config.path()]));
    for _ in 0..6 {
        queue.enqueue(&[("url", proxy.http_url().as_str()), ("flow", "partner")]);
    }
    let failed = &bodies(&sink.wait_for_path("/notice", 1, DEADLINE))[0];
    assert_eq!((&failed["notice"], &failed["flow"]), (&json!("flow_failed"), &json!("partner")));
    let (since, at) = (failed["since"].as_u64().expect("a time"), failed["at"].as_u64().expect("a time"));
    assert!(at >= since + 1000 && failed["error"].is_string(), "{failed}");
    proxy.set(Mode::Pass);
    sink.wait_for_path("/notice", 2, DEADLINE);
    let all = all_ended(redis, &queue, sink);
    let kinds: Vec<_> = all.iter().map(|notice| notice["notice"].clone()).collect();
    assert_eq!(kinds, ["flow_failed", "flow_recovered"], "three workers, one notice each");
    assert_eq!(all[1]["since"], json!(since));
    drop(workers);
}

fn a_notice_that_cannot_be_delivered_makes_no_other(build: Build) {
    let world = World::new(build);
    let (redis, queue) = (&world.redis, world.queue());
    let nobody = Proxy::start_down(world.sink.address().port());
    let config = config(&nobody.http_url(), "flow = \"notices\"\nflow_failed_after = \"1s\"\n");
    let _worker = world.worker(&["--config", config.path()]);
    let noticed = |count: i64| {
        let key = queue.key("notices");
        eventually_or("a notice", DEADLINE, || match redis.command(&["HLEN", &key]).integer() {
            found if found == count => Ok(()),
            found => Err(found),
        });
    };
    let fail = |flow: &str| {
        for _ in 0..3 {
            queue.enqueue(&[("url", nobody.http_url().as_str()), ("flow", flow)]);
        }
    };
    fail("first");
    noticed(1);
    // The notice fails, and so does its own flow.
    for _ in 0..2 {
        queue.enqueue(&[("url", nobody.http_url().as_str()), ("flow", "notices")]);
    }
    eventually_or("the flow of the notices fails", DEADLINE, || {
        let flows = redis.command(&["KEYS", "postrider:flow:*"]);
        let failing = |flow: &Reply| {
            let own = redis.command(&["HMGET", &flow.text(), "name", "opened_at"]);
            matches!(own.array(), [Reply::Bulk(name), Reply::Bulk(_)] if name == b"notices")
        };
        if flows.array().iter().any(failing) { Ok(()) } else { Err(format!("{flows:?}")) }
    });
    // A flow that fails later is reported, so the other one is never.
    fail("second");
    noticed(2);
    let subjects = redis.command(&["HVALS", &queue.key("notices")]);
    let mut names: Vec<String> = subjects.array().iter().map(|state| state.text()).collect();
    names.iter_mut().for_each(|state| *state = state.split(' ').next_back().unwrap_or_default().to_owned());
    names.sort();
    assert_eq!(names, ["first", "second"]);
}

fn a_late_queue_is_reported_once_and_so_is_its_end(build: Build) {
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    let config = config(&sink.url("/notice"), "queue = \"ops\"\noldest_ready = \"2s\"\n");
    let flags = ["--config", config.path(), "--queue", "default", "--queue", "ops"];
    let busy = [&flags[..], &["--concurrency", "1"]].concat();
    let first = world.worker(&busy);
    for _ in 0..4 {
        queue.enqueue(&[("url", sink.url("/slow/5000"))]);
    }
    let ops = Queue::new(redis, "ops");
    let key = ops.key("notices");
    eventually_or("it is late", DEADLINE, || {
        let late = redis.command(&["HEXISTS", &key, "queue:default"]).integer();
        if late == 1 { Ok(()) } else { Err(late) }
    });
    let second = world.worker(&flags);
    sink.wait_for_path("/notice", 2, DEADLINE);
    let all = all_ended(redis, &ops, sink);
    let kinds: Vec<_> = all.iter().map(|notice| notice["notice"].clone()).collect();
    assert_eq!(kinds, ["queue_late", "queue_in_time"]);
    assert_eq!((&all[0]["queue"], &all[0]["bound_ms"]), (&json!("default"), &json!(2000)), "{}", all[0]);
    assert!(all[0]["oldest_ms"].as_u64() > Some(2000) && all[0]["ready"].as_u64() >= Some(1), "{}", all[0]);
    queue.wait_until_drained(DEADLINE);
    let _: [Postrider; 2] = [first, second];
}

fn a_notice_that_is_dead_or_cannot_be_enqueued_is_named_by_doctor(build: Build) {
    let world = World::new(build);
    let (redis, queue, url) = (&world.redis, world.queue(), world.sink.url("/status/410"));
    let config = config(&url, "");
    let doctor = || world.run(&["doctor", "--config", config.path()]).stdout;
    assert!(!doctor().contains("notice"), "nothing is wrong yet");
    let _worker = world.worker(&["--config", config.path()]);
    let letter = queue.enqueue(&[("url", url.as_str()), ("label", "queue_late")]);
    eventually_or("a dead letter", DEADLINE, || match queue.dead().len() {
        1 => Ok(()),
        found => Err(found),
    });
    let found = doctor();
    assert!(found.contains(&format!("the notice {letter} (queue_late) is dead")), "{found}");
    assert!(!world.run(&["doctor"]).stdout.contains("is dead"), "only with the configuration");
    redis.command(&["SET", &queue.key("notices"), "another program"]);
    eventually_or("a worker that cannot enqueue", DEADLINE, || {
        let found = doctor();
        if found.contains("it cannot enqueue notices") { Ok(()) } else { Err(found) }
    });
    redis.command(&["DEL", &queue.key("notices")]);
    eventually_or("a worker that can", DEADLINE, || {
        let found = doctor();
        if found.contains("it cannot enqueue notices") { Err(found) } else { Ok(()) }
    });
}

fn a_worker_refuses_a_notice_whose_secret_does_not_exist(build: Build) {
    let world = World::new(build);
    let config = config("https://ops.test/hook", "secret = \"ops\"\n");
    let output = world.run(&["worker", "--config", config.path()]);
    assert_eq!(output.code(), 2, "{output:?}");
    let problem =
        "line 7: `secret`: there is no table [secrets.ops] in this file; add it, or correct the name";
    assert!(output.stderr.contains(problem), "{output:?}");
}
