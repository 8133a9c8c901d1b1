//! Grants of a flow: by its rate, its concurrency over all workers, and its breaker.

use super::full::fill;
use super::{Call, Reply, Script, Stage};
use e2e::scripts::{Ask, Report, flow_key};

/// The number granted, the ms until the next call, and the reason.
fn take(stage: &Stage, ask: Ask<'_>) -> (i64, i64, String) {
    let reply = stage.call(&Call::flow_acquire(ask));
    let [granted, wait, why, _] = reply.array() else { panic!("{reply:?}") };
    (granted.integer(), wait.integer(), why.text())
}

/// The number granted, and the reason.
fn granted(stage: &Stage, ask: Ask<'_>) -> (i64, String) {
    let (granted, _, why) = take(stage, ask);
    (granted, why)
}

fn is(granted: i64, why: &str) -> (i64, String) {
    (granted, why.to_owned())
}

/// The pause of the breaker, ms, and its number of trips in a row.
fn report(stage: &Stage, works: bool) -> (i64, i64) {
    let report = if works { Report::Works } else { Report::Fails(" 7 ") };
    let reply = stage.call(&Call::flow_report("a", report));
    (reply.array()[0].integer(), reply.array()[1].integer())
}

fn set(stage: &Stage, field: &str, value: &str) {
    stage.command(&["HSET", &flow_key(), field, value]);
}

fn ttl(stage: &Stage) -> i64 {
    stage.command(&["PTTL", &flow_key()]).integer()
}

/// The pause is over.
fn wait_out(stage: &Stage) {
    set(stage, "open_until", "1");
}

const BUCKET: Ask<'_> = Ask {
    consumer: "a",
    making: 0,
    more: 5,
    is_made: true,
    rate: 1,
    burst: 3,
    most: 0,
    is_past_breaker: false,
    is_paid: false,
    kind: "",
};

#[test]
fn a_bucket_is_full_at_first_and_fills_with_time() {
    let stage = Stage::new();
    assert_eq!(granted(&stage, BUCKET), is(3, "r"));
    let (none, wait, why) = take(&stage, BUCKET);
    assert_eq!((none, why.as_str()), (0, "r"));
    assert!((1..=1000).contains(&wait), "the next comes within a second, and not after {wait} ms");
    set(&stage, "tokens_at", &(stage.now() - 2_000).to_string());
    assert_eq!(granted(&stage, BUCKET), is(2, "r"), "two came in two seconds");
    set(&stage, "tokens_at", &(stage.now() - 3_600_000).to_string());
    assert_eq!(granted(&stage, Ask { more: 3, ..BUCKET }), is(3, "-"), "never more than the bucket holds");
    assert_eq!(granted(&stage, Ask { rate: 0, ..BUCKET }), is(5, "-"), "paid attempts need no token");
}

#[test]
fn a_clock_that_is_set_back_stops_no_bucket() {
    let stage = Stage::new();
    assert_eq!(granted(&stage, BUCKET), is(3, "r"));
    set(&stage, "tokens_at", &(stage.now() + 3_600_000).to_string());
    assert_eq!(granted(&stage, BUCKET), is(0, "r"));
    let at = stage.command(&["HGET", &flow_key(), "tokens_at"]).text().parse::<i64>().expect("a time");
    assert!(at <= stage.now(), "from here on it fills again");
    set(&stage, "tokens_at", &(stage.now() - 1_000).to_string());
    assert_eq!(granted(&stage, BUCKET), is(1, "r"));
}

#[test]
fn concurrency_is_counted_over_all_consumers() {
    let stage = Stage::new();
    let ask = |consumer, making, more| Ask { consumer, making, more, most: 3, ..Ask::default() };
    assert_eq!(granted(&stage, ask("a", 0, 2)), is(2, "-"));
    assert_eq!(granted(&stage, ask("b", 0, 2)), is(1, "c"));
    assert_eq!(granted(&stage, ask("b", 1, 1)), is(0, "c"));
    assert_eq!(granted(&stage, ask("a", 1, 0)), is(0, "-"), "one of a's has ended");
    assert_eq!(granted(&stage, ask("b", 1, 1)), is(1, "-"));
    assert_eq!(granted(&stage, ask("c", 0, 1)), is(0, "c"));
    // The worker that makes a granted attempt counts it.
    assert_eq!(granted(&stage, ask("a", 0, 0)), is(0, "-"));
    let for_others = Ask { is_made: false, ..ask("a", 0, 1) };
    assert_eq!([granted(&stage, for_others), granted(&stage, for_others)], [is(1, "-"), is(1, "-")]);
}

#[test]
fn a_consumers_count_is_valid_for_fifteen_seconds() {
    let ask = Ask { consumer: "b", more: 3, most: 3, ..Ask::default() };
    for (ago, expected) in [(0, 1), (14_000, 1), (16_000, 3), (-16_000, 3)] {
        let stage = Stage::new();
        set(&stage, "w:a", &format!("2 {}", stage.now() - ago));
        assert_eq!(take(&stage, ask).0, expected, "reported {ago} ms ago");
        let kept = stage.command(&["HEXISTS", &flow_key(), "w:a"]).integer();
        assert_eq!(kept, i64::from(expected == 1), "reported {ago} ms ago");
    }
    let stage = Stage::new();
    set(&stage, "w:garbage", "many");
    assert_eq!(granted(&stage, ask), is(3, "-"));
}

#[test]
fn a_breaker_is_open_for_twice_as_long_each_time_up_to_a_cap() {
    let stage = Stage::new();
    let mut pauses = Vec::new();
    for trips in 1..=6 {
        let (pause, counted) = report(&stage, false);
        assert_eq!(counted, trips);
        pauses.push(pause);
        assert_eq!(report(&stage, false).1, trips, "reported again while it is open, it counts once");
        wait_out(&stage);
    }
    assert_eq!(pauses, [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
    assert_eq!(stage.command(&["HGET", &flow_key(), "name"]).text(), "h:80");
    let opened = stage.command(&["HGET", &flow_key(), "opened_at"]).text().parse::<i64>().expect("a time");
    assert!((stage.now() - 60_000..=stage.now()).contains(&opened), "since the first time");
}

#[test]
fn a_breaker_allows_one_trial_at_a_time() {
    let stage = Stage::new();
    let ask = Ask { more: 5, ..Ask::default() };
    assert_eq!(granted(&stage, ask), is(5, "-"));
    report(&stage, false);
    let (none, wait, why) = take(&stage, ask);
    assert_eq!((none, why.as_str()), (0, "o"));
    assert!((1..=5_000).contains(&wait), "{wait}");
    wait_out(&stage);
    assert_eq!(granted(&stage, ask), is(1, "t"));
    let (none, wait, why) = take(&stage, ask);
    assert_eq!((none, why.as_str()), (0, "o"), "while the trial runs");
    assert!((1..=1_000).contains(&wait), "{wait}");
    assert_eq!(report(&stage, false).1, 2, "the trial failed");
    wait_out(&stage);
    assert_eq!(granted(&stage, ask), is(1, "T"), "every other one is of a job that has failed");
    set(&stage, "trial_until", "1");
    assert_eq!(granted(&stage, ask), is(1, "T"), "one that was lost is made again");
    assert_eq!(report(&stage, true), (0, 0));
    assert_eq!(granted(&stage, ask), is(5, "-"));
    assert_eq!(stage.command(&["EXISTS", &flow_key()]), Reply::Integer(0), "nothing is left of it");
}

/// Admitting a job has acquired the breaker's trial: the limit of concurrency asks the breaker again, which must not
/// refuse the granted trial.
#[test]
fn a_trial_that_was_granted_is_not_refused() {
    let stage = Stage::new();
    report(&stage, false);
    wait_out(&stage);
    let ask = Ask { most: 2, is_made: false, ..Ask::default() };
    assert_eq!(granted(&stage, ask), is(1, "t"));
    let made = Ask { is_made: true, is_past_breaker: true, ..ask };
    assert_eq!(granted(&stage, made), is(1, "-"));
    assert_eq!(granted(&stage, Ask { more: 5, making: 1, ..made }), is(1, "c"), "the limit holds");
}

#[test]
fn a_clock_that_is_set_back_closes_no_flow() {
    let stage = Stage::new();
    let far = |stage: &Stage| (stage.now() + 3_600_000).to_string();
    report(&stage, false);
    set(&stage, "open_until", &far(&stage));
    assert_eq!(granted(&stage, Ask::default()), is(1, "t"));
    set(&stage, "trial_until", &far(&stage));
    assert_eq!(granted(&stage, Ask::default()), is(1, "t"));
    assert_eq!(report(&stage, false), (10_000, 2));
}

#[test]
fn the_shared_state_of_a_flow_expires() {
    let two_hours = 7_000_000..=7_200_000;
    for call in [
        Call::flow_acquire(BUCKET),
        Call::flow_acquire(Ask { most: 1, ..Ask::default() }),
        Call::flow_report("a", Report::Fails("")),
    ] {
        let stage = Stage::new();
        for _ in 0..2 {
            stage.call(&call);
            assert!(two_hours.contains(&ttl(&stage)), "{call:?}: {}", ttl(&stage));
            stage.command(&["PEXPIRE", &flow_key(), "1000000"]);
        }
        stage.call(&Call::flow_acquire(BUCKET));
        assert!(two_hours.contains(&ttl(&stage)), "{call:?}: {}", ttl(&stage));
    }
}

#[test]
fn a_full_redis_still_grants_and_still_opens() {
    let stage = Stage::new();
    fill(&stage);
    assert_eq!(granted(&stage, Ask { most: 2, ..BUCKET }), is(2, "c"));
    assert_eq!(report(&stage, false), (5_000, 1));
    assert_eq!(granted(&stage, Ask { more: 1, ..BUCKET }), is(0, "o"));
    assert_eq!(report(&stage, true), (0, 0));
}

#[test]
fn a_missing_right_costs_no_token() {
    for command in Script::FlowAcquire.commands() {
        let stage = Stage::new();
        assert_eq!(granted(&stage, Ask { more: 1, most: 9, ..BUCKET }), is(1, "-"));
        let ask = Call::flow_acquire(Ask { more: 1, making: 1, most: 9, ..BUCKET });
        for _ in 0..5 {
            let reply = stage.call_without(command, &ask);
            assert!(matches!(reply, Reply::Error(_)), "-{command}: {reply:?}");
        }
        assert_eq!(granted(&stage, BUCKET).0, 2, "-{command}");
    }
}

#[test]
fn a_breaker_that_may_not_be_written_stays_unchanged() {
    // It reads the whole flow only for a destination that asks to wait.
    let commands =
        Script::FlowReport.commands().into_iter().filter(|command| !["HGETALL", "HGET"].contains(command));
    for command in commands {
        let stage = Stage::new();
        for _ in 0..3 {
            let reply = stage.call_without(command, &Call::flow_report("a", Report::Fails("")));
            assert!(matches!(reply, Reply::Error(_)), "-{command}: {reply:?}");
        }
        assert_eq!(granted(&stage, Ask::default()), is(1, "-"), "-{command}");
        assert_eq!(report(&stage, false), (5_000, 1), "-{command}");
    }
}

#[test]
fn a_flow_of_a_wrong_type_is_an_error_until_it_is_gone() {
    let stage = Stage::new();
    stage.command(&["SET", &flow_key(), "of another type"]);
    for call in [
        Call::flow_acquire(BUCKET),
        Call::flow_report("a", Report::Fails("")),
        Call::flow_report("a", Report::Works),
        Call::flow_release(true, 1),
    ] {
        let reply = stage.call(&call);
        assert!(matches!(&reply, Reply::Error(error) if error.contains("WRONGTYPE")), "{reply:?}");
    }
    stage.command(&["DEL", &flow_key()]);
    assert_eq!(granted(&stage, BUCKET), is(3, "r"));
}

#[test]
fn unused_grants_are_released() {
    let stage = Stage::new();
    let back =
        |is_trial, burst| assert_eq!(stage.call(&Call::flow_release(is_trial, burst)), Reply::Integer(1));
    assert_eq!(granted(&stage, BUCKET), is(3, "r"));
    back(false, 0);
    assert_eq!(granted(&stage, BUCKET), is(0, "r"), "it had paid none");
    back(false, 3);
    assert_eq!(granted(&stage, BUCKET), is(1, "r"));
    (0..5).for_each(|_| back(false, 3));
    assert_eq!(granted(&stage, BUCKET), is(3, "r"), "never more than the bucket holds");
    report(&stage, false);
    wait_out(&stage);
    assert_eq!(granted(&stage, Ask::default()), is(1, "t"));
    assert_eq!(granted(&stage, Ask::default()), is(0, "o"));
    back(true, 0);
    assert_eq!(granted(&stage, Ask::default()), is(1, "t"), "the next is tried");
}

#[test]
fn releasing_to_an_expired_flow_does_not_create_it() {
    let stage = Stage::new();
    stage.call(&Call::flow_release(true, 3));
    assert_eq!(stage.command(&["EXISTS", &flow_key()]), Reply::Integer(0));
    let full = Stage::new();
    assert_eq!(granted(&full, BUCKET), is(3, "r"));
    fill(&full);
    full.call(&Call::flow_release(false, 3));
    assert_eq!(granted(&full, BUCKET), is(1, "r"), "a full Redis takes it back");
}
