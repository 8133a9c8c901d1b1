//! What a destination's answers do to a flow: a second opinion past an open breaker, a hold that the destination asks
//! for, a rate that is learned from it, and workers that contradict each other.

use super::{Call, Reply, Stage};
use e2e::scripts::{Ask, Report, flow_key};

/// The number granted, the ms until the next call, the reason, and whether the flow has a learned rate.
fn take(stage: &Stage, ask: Ask<'_>) -> (i64, i64, String, bool) {
    let reply = stage.call(&Call::flow_acquire(ask));
    let [granted, wait, why, learned] = reply.array() else { panic!("{reply:?}") };
    (granted.integer(), wait.integer(), why.text(), learned.integer() == 1)
}

fn granted(stage: &Stage, ask: Ask<'_>) -> (i64, String) {
    let (granted, _, why, _) = take(stage, ask);
    (granted, why)
}

/// How long it waits, the trips of the breaker, and whether this is for the consumer alone.
fn report(stage: &Stage, consumer: &str, report: Report<'_>) -> (i64, i64, i64) {
    let reply = stage.call(&Call::flow_report(consumer, report));
    let [wait, trips, alone] = reply.array() else { panic!("{reply:?}") };
    (wait.integer(), trips.integer(), alone.integer())
}

fn set(stage: &Stage, field: &str, value: &str) {
    stage.command(&["HSET", &flow_key(), field, value]);
}

fn number(stage: &Stage, field: &str) -> f64 {
    stage.command(&["HGET", &flow_key(), field]).text().parse().expect("a number")
}

fn is(granted: i64, why: &str) -> (i64, String) {
    (granted, why.to_owned())
}

#[test]
fn a_job_of_another_kind_passes_an_open_breaker_one_at_a_time() {
    let stage = Stage::new();
    report(&stage, "a", Report::Fails(" 11  12 "));
    let opinion = |kind| Ask { kind, ..Ask::default() };
    for known in ["", "11", "12"] {
        assert_eq!(granted(&stage, opinion(known)), is(0, "o"), "{known}");
    }
    assert_eq!(granted(&stage, opinion("1")), is(1, "t"));
    assert_eq!(granted(&stage, opinion("2")), is(0, "o"), "while the trial runs");
    // It fails, which neither opens the breaker again nor for longer.
    assert_eq!(report(&stage, "a", Report::Fails(" 1 ")).1, 1);
    assert_eq!(granted(&stage, opinion("1")), is(0, "o"));
    assert_eq!(granted(&stage, opinion("2")), is(1, "t"));
    report(&stage, "a", Report::Fails(" 2  3  4  5  6  7 "));
    assert_eq!(granted(&stage, opinion("99")), is(0, "o"), "it fails for all kinds");
    report(&stage, "a", Report::Works);
    assert_eq!(granted(&stage, opinion("1")), is(1, "-"));
}

#[test]
fn a_flow_is_held_as_long_as_its_destination_asks_up_to_a_cap() {
    let stage = Stage::new();
    assert_eq!(granted(&stage, Ask::default()), is(1, "-"));
    assert_eq!(report(&stage, "a", Report::Asks(3_000, 5)).0, 3_000);
    let (none, wait, why, _) = take(&stage, Ask { consumer: "b", ..Ask::default() });
    assert_eq!((none, why.as_str()), (0, "h"), "for all workers");
    assert!((2_000..=3_000).contains(&wait), "{wait}");
    assert!(report(&stage, "b", Report::Asks(1_000, 5)).0 > 2_000, "a shorter one changes nothing");
    assert_eq!(report(&stage, "b", Report::Asks(3_600_000, 5)).0, 60_000, "the longest hold");
    set(&stage, "hold_until", "1");
    set(&stage, "learned_at", &stage.now().to_string());
    assert_eq!(granted(&stage, Ask::default()), is(0, "r"), "the learned rate begins without a token");
    set(&stage, "learned_at", "1");
    assert_eq!(granted(&stage, Ask::default()), is(1, "-"));
    // Redis' clock was set back.
    set(&stage, "hold_until", &(stage.now() + 3_600_000).to_string());
    set(&stage, "learned_at", "1");
    assert_eq!(granted(&stage, Ask::default()), is(1, "-"));
}

#[test]
fn a_rate_is_learned_from_what_was_accepted() {
    let stage = Stage::new();
    let rate = |stage: &Stage| number(stage, "rate");
    report(&stage, "a", Report::Asks(0, 100));
    assert!((rate(&stage) - 90.0).abs() < 0.01);
    report(&stage, "a", Report::Asks(0, 50));
    assert!((rate(&stage) - 90.0).abs() < 0.01, "one answer of many to the same burst");
    set(&stage, "lowered_at", "1");
    // Both workers together had 60 accepted.
    report(&stage, "b", Report::Asks(0, 10));
    assert!((rate(&stage) - 54.0).abs() < 0.01, "{}", rate(&stage));
    set(&stage, "learned_at", "1");
    let (granted, wait, why, learned) = take(&stage, Ask { more: 10, ..Ask::default() });
    assert_eq!((granted, why.as_str(), learned), (2, "r", true), "a burst of 50 ms");
    assert!((1..=100).contains(&wait), "{wait}");
    assert_eq!(take(&stage, Ask { more: 10, is_paid: true, ..Ask::default() }).0, 10, "tokens taken before");
    // It grows by 5 % a second.
    let before = rate(&stage);
    set(&stage, "rate_at", &(stage.now() - 1_000).to_string());
    take(&stage, Ask::default());
    assert!((rate(&stage) - before * 1.05).abs() < 0.2, "{}", rate(&stage));
    // Where it has not limited anything for a minute, it is forgotten.
    set(&stage, "limited_at", &(stage.now() - 61_000).to_string());
    set(&stage, "learned_at", "1");
    assert!(!take(&stage, Ask::default()).3);
    assert_eq!(stage.command(&["HEXISTS", &flow_key(), "rate"]), Reply::Integer(0));
}

#[test]
fn a_breaker_that_others_contradict_is_open_for_one_worker_alone() {
    let stage = Stage::new();
    assert_eq!(report(&stage, "sick", Report::Fails(" 1 ")), (5_000, 1, 0));
    report(&stage, "healthy", Report::Works);
    assert_eq!(report(&stage, "sick", Report::Fails(" 1 ")), (5_000, 1, 1));
    assert_eq!(granted(&stage, Ask { consumer: "healthy", ..Ask::default() }), is(1, "-"));
    assert_eq!(report(&stage, "healthy", Report::Fails(" 1 ")), (5_000, 1, 0), "it is not in doubt");
    report(&stage, "healthy", Report::Works);
    set(&stage, "doubt", &format!("{} sick", stage.now() - 61_000));
    assert_eq!(report(&stage, "sick", Report::Fails(" 1 ")), (5_000, 1, 0), "after a minute it is believed");
}

#[test]
fn the_error_and_the_name_of_a_flow_are_kept_for_people() {
    let stage = Stage::new();
    report(&stage, "a", Report::Fails(" 1 "));
    let kept = ["name", "error"].map(|field| stage.command(&["HGET", &flow_key(), field]).text());
    assert_eq!(kept, ["h:80", "it does not answer"]);
}
