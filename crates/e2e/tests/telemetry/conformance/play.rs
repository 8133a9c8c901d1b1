//! What a worker does so that every span, metric and log line occurs.

use e2e::process::Postrider;
use e2e::proxy::{Mode, Proxy};
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually_or};
use serde_json::json;

use super::{ObservedWorld, get, listens};

/// A limit, and a breaker that opens soon and is tried soon.
const CONFIG: &str = r#"
[flows.narrow]
concurrency = 1

[flows.broken]
breaker_failures = 2
breaker_pause = "200ms"
breaker_longest = "200ms"
"#;

/// Plays every outcome of a job. Returns the text that Prometheus would scrape at the end.
pub(super) fn play(observed: &ObservedWorld) -> String {
    let config = TextFile::new(CONFIG);
    let common =
        ["--retry-base", "50ms", "--config", config.path(), "--listen", "127.0.0.1:0", "--trace-redis"];
    let quick = [&common[..], &["--lease", "1s", "--shutdown-timeout", "100ms"]].concat();

    let mut killed = observed.worker(&quick);
    let url = observed.world.sink.url("/slow/3000");
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203330-01";
    observed.queue().enqueue(&[("url", url.as_str()), ("traceparent", traceparent)]);
    observed.world.sink.wait_for(1, DEADLINE);
    killed.kill();

    let mut worker = observed.worker(&quick);
    let address = listens(&mut worker);
    play_each_outcome(observed);
    play_a_broken_destination(observed, &mut worker);
    play_a_theft(observed, &mut worker, "/slow/20000", "lease lost");
    let depth = || get(address, "/metrics").1;
    eventually_or("the depth of the queue", DEADLINE, || {
        let text = depth();
        if text.contains("postrider_queue_depth{") { Ok(()) } else { Err(text) }
    });
    let text = depth();
    // What is in flight at the end is handed back.
    let before = observed.world.sink.requests().len();
    observed.queue().enqueue(&[("url", observed.world.sink.url("/slow/20000"))]);
    observed.world.sink.wait_for(before + 1, DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
    observed.world.redis.command(&["FLUSHALL"]);

    // A worker that notices it when it settles, since its next heartbeat is later.
    let mut unaware = observed.worker(&[&common[..], &["--lease", "10m"]].concat());
    play_a_theft(observed, &mut unaware, "/slow/500", "settlement refused");
    assert_eq!(unaware.stop().code(), Some(0));
    text
}

fn play_each_outcome(observed: &ObservedWorld) {
    let called = observed.world.sink.url("/ok?called");
    observed.run(&["send", "POST", &observed.world.sink.url("/ok")]);
    observed.run(&["send", "POST", &observed.world.sink.url("/ok"), "--on-success", &called]);
    observed.run(&["send", "POST", &observed.world.sink.url("/flaky/1/a")]);
    observed.run(&["send", "POST", &observed.world.sink.url("/ok?later"), "--in", "300ms"]);
    observed.run(&["send", "POST", &observed.world.sink.url("/status/410"), "--on-failure", &called]);
    observed.queue().enqueue(&[("method", "GET")]);
    play_jobs_that_are_enqueued_together(observed);
    play_by_hand(observed);
    for _ in 0..4 {
        observed
            .queue()
            .enqueue(&[("url", observed.world.sink.url("/slow/300").as_str()), ("flow", "narrow")]);
    }
    observed.drained();
    observed.run(&["dead", "replay", "--reason", "final_status", "--yes"]);
    observed.drained();
}

/// Once with the command as their producer, and once with the contexts of another producer.
fn play_jobs_that_are_enqueued_together(observed: &ObservedWorld) {
    let job = || json!({ "url": observed.world.sink.url("/ok?together") }).to_string();
    let file = TextFile::new(&[job(), job()].join("\n"));
    observed.run(&["send", "--from", file.path()]);
    let job = |number: u8| {
        let traceparent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033{number:02}-01");
        json!({ "url": observed.world.sink.url("/ok?others"), "traceparent": traceparent }).to_string()
    };
    let file = TextFile::new(&[job(31), job(32)].join("\n"));
    observed.run(&["send", "--from", file.path()]);
}

fn play_by_hand(observed: &ObservedWorld) {
    observed.run(&["send", &observed.world.sink.url("/ok?never"), "--in", "1h", "--label", "never"]);
    observed.run(&["send", &observed.world.sink.url("/ok?now"), "--in", "1h", "--label", "now"]);
    eventually_or("both wait", DEADLINE, || match observed.queue().scheduled() {
        2.. => Ok(()),
        waiting => Err(format!("{waiting}")),
    });
    observed.run(&["jobs", "cancel", "never"]);
    observed.run(&["jobs", "run-now", "now"]);
    observed.run(&["dead", "purge", "--reason", "cancelled", "--yes"]);
}

fn play_a_broken_destination(observed: &ObservedWorld, worker: &mut Postrider) {
    let proxy = Proxy::start_down(observed.world.sink.address().port());
    for _ in 0..3 {
        observed.queue().enqueue(&[("url", proxy.http_url().as_str()), ("flow", "broken")]);
    }
    worker.wait_for_log("the destination does not answer", DEADLINE);
    proxy.set(Mode::Pass);
    worker.wait_for_log("the destination answers again", DEADLINE);
    observed.drained();
}

/// Another worker takes a job over while it is being sent. A success without a result would end the job all the same.
fn play_a_theft(observed: &ObservedWorld, worker: &mut Postrider, path: &str, line: &str) {
    let before = observed.world.sink.requests().len();
    let entry = observed
        .queue()
        .enqueue(&[("url", observed.world.sink.url(path)), ("result_ttl_ms", "60000".to_owned())]);
    observed.world.sink.wait_for(before + 1, DEADLINE);
    let jobs = observed.queue().key("jobs");
    let claimed =
        observed.world.redis.command(&["XCLAIM", &jobs, "postrider", "thief", "0", &entry, "JUSTID"]);
    assert_eq!(claimed.array().len(), 1, "{claimed:?}");
    worker.wait_for_log(line, DEADLINE);
    observed.remove(&entry);
}
