//! Tests of jobs that cannot succeed: they are dead-lettered with a reason and their own bytes, in both builds.

use e2e::process::Build;
use e2e::queue::{DeadLetter, Queue};
use e2e::wait::{DEADLINE, eventually};
use e2e::world::World;

e2e::in_both_builds!(
    an_entry_that_is_no_job_is_dead_lettered_unchanged,
    a_newer_format_is_dead_lettered_as_such,
    a_final_status_is_dead_lettered_at_once,
    a_job_out_of_attempts_is_dead_lettered_with_its_history,
    an_expired_job_is_not_sent,
    a_private_destination_is_refused_without_a_connection,
);

/// Jobs that are malformed, except their URL.
const MALFORMED: &[&[(&str, &str)]] = &[
    &[("body", "there is no url")],
    &[("url", "not a url"), ("body", "x")],
    &[("url", "ftp://127.0.0.1/x")],
    &[("url", "http://127.0.0.1/x"), ("body", "a"), ("body", "b")],
    &[("url", "http://127.0.0.1/x"), ("timeout_ms", "1.5")],
    &[("url", "http://127.0.0.1/x"), ("not_before", "1700000000")],
    &[("url", "http://127.0.0.1/x"), ("method", "NO SPACE")],
    &[("unknown", "kept"), ("headers", "[1]"), ("url", "http://127.0.0.1/x")],
];

fn the_only_dead(queue: Queue<'_>) -> DeadLetter {
    let dead = eventually("a dead letter", DEADLINE, || queue.dead().pop());
    queue.wait_until_drained(DEADLINE);
    assert_eq!(queue.dead().len(), 1);
    dead
}

fn own_fields(fields: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

fn an_entry_that_is_no_job_is_dead_lettered_unchanged(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let job_ids: Vec<String> = MALFORMED.iter().map(|fields| queue.enqueue(fields)).collect();
    queue.enqueue(&[("url", sink.url("/ok"))]);
    let _worker = world.worker(&[]);
    sink.wait_for(1, DEADLINE);
    queue.wait_until_drained(DEADLINE);
    let dead = queue.dead();
    assert_eq!(dead.len(), MALFORMED.len());
    for (fields, job_id) in MALFORMED.iter().zip(job_ids) {
        let letter = dead.iter().find(|letter| letter.field("_job_id").as_ref() == Some(&job_id));
        let letter = letter.unwrap_or_else(|| panic!("{fields:?} is not dead-lettered: {dead:?}"));
        assert_eq!(letter.own_fields(), own_fields(fields));
        assert_eq!(letter.reason(), "malformed", "{fields:?}");
        assert!(letter.field("_error").is_some_and(|error| !error.is_empty()), "{letter:?}");
        assert!(letter.field("_dead_at").is_some(), "{letter:?}");
    }
    let seconds = dead.iter().find(|letter| letter.field("not_before").is_some());
    let error = seconds.and_then(|letter| letter.field("_error")).unwrap_or_default();
    assert!(error.contains("seconds"), "{error}");
}

fn a_newer_format_is_dead_lettered_as_such(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    queue.enqueue(&[("v", "2"), ("url", &sink.url("/ok"))]);
    assert_eq!(the_only_dead(queue).reason(), "version");
    assert_eq!(sink.connections(), 0);
}

fn a_final_status_is_dead_lettered_at_once(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    let url = sink.url("/status/410");
    let fields = [("body", "hello"), ("url", url.as_str()), ("label", "order-1")];
    let job_id = queue.enqueue(&fields);
    let dead = the_only_dead(queue);
    assert_eq!((dead.reason(), dead.field("_job_id")), ("final_status".to_owned(), Some(job_id)));
    assert_eq!(dead.own_fields(), own_fields(&fields));
    assert_eq!(sink.requests().len(), 1);
}

fn a_job_out_of_attempts_is_dead_lettered_with_its_history(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    // Each thread makes its own connections.
    let _worker = world.worker(&["--retry-base", "50ms", "--threads", "1"]);
    queue.enqueue(&[("url", sink.url("/status/503")), ("max_attempts", "3".to_owned())]);
    let dead = the_only_dead(queue);
    assert_eq!((dead.reason(), sink.requests().len()), ("attempts".to_owned(), 3));
    let history = dead.field("_history").expect("a history");
    let history: serde_json::Value = serde_json::from_str(&history).expect("a JSON history");
    assert_eq!(history.as_array().map(Vec::len), Some(3), "{history}");
    for number in 1..=3 {
        let attempt = &history[number - 1];
        assert_eq!(
            (attempt["attempt"].as_u64(), attempt["status"].as_u64()),
            (Some(number as u64), Some(503))
        );
        // Only the first attempt makes a connection.
        let phases = &attempt["us"];
        assert_eq!(phases["connect"].is_u64(), number == 1, "{history}");
        let always = ["request", "first_byte", "body"].map(|phase| phases[phase].is_u64());
        assert_eq!((always, phases["dns"].is_u64()), ([true; 3], false), "{history}");
    }
}

fn an_expired_job_is_not_sent(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker(&[]);
    queue.enqueue(&[("url", sink.url("/ok")), ("expires_at", "1700000000000".to_owned())]);
    assert_eq!(the_only_dead(queue).reason(), "expired");
    assert_eq!(sink.connections(), 0);
}

fn a_private_destination_is_refused_without_a_connection(build: Build) {
    let world = World::new(build);
    let (queue, sink) = (world.queue(), &world.sink);
    let _worker = world.worker_with(&[], &[("POSTRIDER_EGRESS_ALLOW", "")]);
    queue.enqueue(&[("url", sink.url("/ok"))]);
    assert_eq!(the_only_dead(queue).reason(), "refused");
    assert_eq!(sink.connections(), 0);
}
