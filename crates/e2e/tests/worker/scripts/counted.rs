//! The counters of outcomes: every job that really ends is counted once, old counts are cleared, and no fault of the
//! counters stops a settlement.

use e2e::scripts::RunningJob;

use super::{Call, JOB, MARK, Reply, Script, Stage, held_by, key, settled};

const MINUTES: usize = 1_440;
const HOURS: usize = 336;
/// Numbers of 32 bits: the head, and four for each slot of both rings.
const NUMBERS: usize = 4 * (1 + MINUTES + HOURS);

/// All numbers of the counters.
fn numbers(stage: &Stage) -> Vec<u32> {
    match stage.command(&["GET", &key("stats")]) {
        Reply::Bulk(bytes) => {
            let number = |four: &[u8]| u32::from_be_bytes(four.try_into().expect("four bytes"));
            let mut numbers: Vec<u32> = bytes.chunks_exact(4).map(number).collect();
            assert!(numbers.len() <= NUMBERS);
            numbers.resize(NUMBERS, 0);
            numbers
        }
        _ => vec![0; NUMBERS],
    }
}

/// How many jobs are counted in all minutes: succeeded, retry, dead, cancelled. The hours have the same.
fn counted(stage: &Stage) -> [u32; 4] {
    let numbers = numbers(stage);
    let sum = |slots: &[u32]| {
        let of = |outcome: usize| slots.iter().skip(outcome).step_by(4).sum();
        [of(0), of(1), of(2), of(3)]
    };
    let (minutes, hours) = numbers[4..].split_at(4 * MINUTES);
    assert_eq!(sum(minutes), sum(hours));
    sum(minutes)
}

fn complete(stage: &Stage) {
    assert_eq!(stage.settle(Script::Complete, &stage.deliver("a", JOB), &[]), "o");
}

#[test]
fn a_settlement_is_counted_once_however_often_the_call_is_repeated() {
    for (script, expected) in [
        (Script::Complete, [1, 0, 0, 0]),
        (Script::CompleteWithResult, [1, 0, 0, 0]),
        (Script::Postpone, [0, 1, 0, 0]),
        (Script::HandBack, [0; 4]),
        (Script::DeadLetter, [0, 0, 1, 0]),
        (Script::DeadLetterEntry, [0, 0, 1, 0]),
    ] {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        assert_eq!(stage.settle_held(script, &held_by(&held, "b", "1"), JOB), "l", "{script:?}");
        assert_eq!(counted(&stage), [0; 4], "{script:?}: of another's job");
        assert_eq!(stage.settle(script, &held, JOB), "o", "{script:?}");
        assert_eq!(stage.settle(script, &held, JOB), "g", "{script:?}");
        assert_eq!(counted(&stage), expected, "{script:?}");
    }
}

#[test]
fn of_a_group_the_jobs_that_were_really_removed_are_counted() {
    let stage = Stage::new();
    let held: [RunningJob; 4] = [(); 4].map(|()| stage.deliver("a", JOB));
    stage.command(&["XCLAIM", &key("jobs"), "postrider", "b", "0", &held[1].id]);
    let mut call = Call::settle(Script::Complete, &held[0], &[]);
    call.args.extend(held[1..].iter().map(|held| held.id.clone().into_bytes()));
    let of_holder = call.clone().still_held("1");
    assert_eq!(stage.call(&of_holder).text(), "oloo");
    assert_eq!(stage.call(&of_holder).text(), "glgg");
    assert_eq!(counted(&stage), [3, 0, 0, 0]);
    assert_eq!(stage.call(&call).text(), "gogg");
    assert_eq!(stage.call(&call).text(), "gggg");
    assert_eq!(counted(&stage), [4, 0, 0, 0]);
    let ttl = stage.command(&["PTTL", &key("stats")]).integer();
    assert!((1_295_900_000..=1_296_000_000).contains(&ttl), "{ttl}");
}

#[test]
fn a_settlement_counts_earlier_jobs_with_its_own_or_leaves_its_own_to_a_later_call() {
    let stage = Stage::new();
    let settle = |count: &str, expected: &str| {
        let held = stage.deliver("a", JOB);
        let mut call = Call::settle(Script::Complete, &held, &[]);
        call.args[4] = count.as_bytes().to_vec();
        assert_eq!(stage.call(&call).text(), "o");
        assert_eq!(counted(&stage), [expected.parse().expect("a number"), 0, 0, 0], "{count:?}");
        call
    };
    settle("", "0");
    let last = settle("7", "8");
    assert_eq!(stage.call(&last).text(), "g");
    assert_eq!(counted(&stage), [8, 0, 0, 0], "a repeated call counts neither");
    settle("", "8");
    stage.call(&Call { script: Script::Count, keys: vec![key("stats")], args: vec![b"5".to_vec()] });
    assert_eq!(counted(&stage), [13, 0, 0, 0]);
}

#[test]
fn jobs_that_are_cancelled_and_jobs_that_cannot_be_read_are_counted() {
    let stage = Stage::new();
    let entry = stage.enqueue(JOB);
    stage.call(&Call::cancel_ready(&entry));
    stage.schedule("9000000000000", "7-0", Some(&stage.pack("{'url','x'}")));
    stage.call(&Call::cancel_scheduled("7-0"));
    stage.call(&Call::cancel_scheduled("7-0"));
    stage.schedule("1", "8-0", Some(b"not-msgpack"));
    stage.call(&Call::promote());
    stage.hold_raw("1", "9-0", Some(b"not-msgpack"));
    stage.call(&Call::admit(10, &[]));
    assert_eq!(counted(&stage), [0, 0, 2, 2]);
}

/// Sets the minute of the last count, and each other number to 1.
fn fill(stage: &Stage, last: u32) {
    let filled: Vec<u8> =
        (0..NUMBERS).flat_map(|at| if at < 4 { [last; 4][at] } else { 1 }.to_be_bytes()).collect();
    stage.command(&[&b"SET"[..], key("stats").as_bytes(), &filled]);
}

/// The counts of succeeded jobs that are not 1: how many minutes, or hours, after `from` (0), and the count.
fn changed(numbers: &[u32], from: usize) -> Vec<(usize, u32)> {
    let slots = numbers.len() / 4;
    let after = |slot: usize| (slot + slots - from % slots) % slots;
    let mut changed: Vec<_> =
        (0..slots).map(|slot| (after(slot), numbers[4 * slot])).filter(|(_, count)| *count != 1).collect();
    changed.sort_unstable();
    changed
}

/// Counts one job where the last count was that many minutes before, and returns the changed minutes and hours.
fn count_after(minutes: i64) -> [Vec<(usize, u32)>; 2] {
    let stage = Stage::new();
    loop {
        let now = stage.now() / 60_000;
        fill(&stage, u32::try_from(now - minutes).expect("a minute"));
        complete(&stage);
        let numbers = numbers(&stage);
        if i64::from(numbers[0]) != now {
            // The minute was over.
            continue;
        }
        let (in_minutes, in_hours) = numbers[4..].split_at(4 * MINUTES);
        let last = usize::try_from(now - minutes.max(0)).expect("a minute");
        return [changed(in_minutes, last), changed(in_hours, last / 60)];
    }
}

#[test]
fn the_first_count_of_a_minute_clears_what_is_a_day_old() {
    assert_eq!(count_after(0)[0], [(0, 2)], "the same minute");
    let [minutes, _] = count_after(3);
    assert_eq!(minutes, [(1, 0), (2, 0)], "and the third has one job");
    // Seven hours later, and at the same minute: the hours between are cleared.
    let [minutes, hours] = count_after(7 * 60);
    assert_eq!((minutes.len(), hours.len()), (7 * 60 - 1, 6));
    assert!(minutes.iter().chain(&hours).all(|(_, count)| *count == 0));
}

#[test]
fn after_days_without_a_count_all_is_cleared() {
    let [minutes, hours] = count_after(2 * 1_440);
    assert_eq!((minutes.len(), hours.len()), (MINUTES - 1, 47));
    let [minutes, hours] = count_after(20 * 1_440);
    assert_eq!((minutes.len(), hours.len()), (MINUTES - 1, HOURS - 1));
}

#[test]
fn after_the_clock_was_set_back_later_counts_are_cleared() {
    let [minutes, _] = count_after(-5);
    assert_eq!(minutes, [(0, 2), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]);
}

#[test]
fn counters_of_a_wrong_type_or_without_a_right_stop_no_settlement() {
    for script in [Script::Complete, Script::Postpone, Script::DeadLetter] {
        let stage = Stage::new();
        stage.command(&["HSET", &key("stats"), "of", "another type"]);
        let held = stage.deliver("a", JOB);
        assert_eq!(stage.settle(script, &held, JOB), "o", "{script:?}");
        assert_eq!(stage.copies(MARK), settled(script), "{script:?}");
    }
    for command in ["BITFIELD", "SETRANGE", "PEXPIRE", "TIME"] {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        let reply = stage.call_without(command, &Call::settle(Script::Complete, &held, &[]));
        assert_eq!(reply.text(), "o", "{command}");
        assert_eq!(stage.copies(MARK), settled(Script::Complete), "{command}");
    }
}
