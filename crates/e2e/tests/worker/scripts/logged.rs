//! The delivery log: every job that really ends has one record, the log is bounded, and no fault of the log stops a
//! settlement.

use e2e::scripts::{LOG_BOUNDS, RunningJob};

use postrider_queue::internals::without_line;

use super::full::fill;
use super::{Call, JOB, MARK, Reply, Script, Stage, held_by, in_stream, key, settled};

/// The scripts that settle a job for good.
const ENDING: [Script; 4] =
    [Script::Complete, Script::CompleteWithResult, Script::DeadLetter, Script::DeadLetterEntry];

/// The records of each entry.
fn log(stage: &Stage) -> Vec<String> {
    let Reply::Array(entries) = stage.command(&["XRANGE", &key("log"), "-", "+"]) else { return vec![] };
    let field = |entry: &Reply| entry.array()[1].array()[1].text();
    entries.iter().map(field).collect()
}

fn deliver<const N: usize>(stage: &Stage) -> [RunningJob; N] {
    [(); N].map(|()| stage.deliver("a", JOB))
}

/// Completes one job with a record of this text.
fn complete(stage: &Stage, bounds: [&str; 3], record: &str) {
    let held = stage.deliver("a", JOB);
    let call = Call::settle(Script::Complete, &held, &[]).logged(bounds, &format!("{record}\n"));
    assert_eq!(stage.call(&call).text(), "o");
}

#[test]
fn a_job_that_ends_has_one_record_however_often_the_call_is_repeated() {
    for script in ENDING {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        let call = |held: &RunningJob| Call::settle(script, held, JOB).logged(LOG_BOUNDS, "the-record\n");
        assert_eq!(stage.call(&call(&held_by(&held, "b", "1")).still_held("1")).text(), "l", "{script:?}");
        assert_eq!(log(&stage), [""; 0], "{script:?}: of another's job");
        assert_eq!(stage.call(&call(&held)).text(), "o", "{script:?}");
        assert_eq!(stage.call(&call(&held)).text(), "g", "{script:?}");
        assert_eq!(log(&stage), ["the-record\n"], "{script:?}");
        assert_eq!(stage.copies(MARK), settled(script), "{script:?}");
        let ttl = stage.command(&["PTTL", &key("log")]).integer();
        assert!((86_300_000..=86_400_000).contains(&ttl), "{script:?}: {ttl}");
    }
}

#[test]
fn a_group_has_one_entry_with_the_jobs_that_were_really_removed() {
    let stage = Stage::new();
    let held: [RunningJob; 4] = deliver(&stage);
    stage.command(&["XCLAIM", &key("jobs"), "postrider", "b", "0", &held[1].id]);
    let call = Call::complete_logged(&held, LOG_BOUNDS);
    let of_holder = call.clone().still_held("1");
    assert_eq!(stage.call(&of_holder).text(), "oloo");
    let mut expected = vec![format!("{}\n{}\n{}\n", held[0].id, held[2].id, held[3].id)];
    assert_eq!(log(&stage), expected);
    assert_eq!(stage.call(&of_holder).text(), "glgg");
    assert_eq!(log(&stage), expected);
    assert_eq!(stage.call(&call).text(), "gogg");
    expected.push(format!("{}\n", held[1].id));
    assert_eq!(log(&stage), expected);
    assert_eq!(stage.call(&call).text(), "gggg");
    assert_eq!(log(&stage), expected);
    let more: [RunningJob; 2] = deliver(&stage);
    assert_eq!(stage.call(&Call::complete_logged(&more, LOG_BOUNDS)).text(), "oo");
    assert_eq!(log(&stage).len(), 3);
}

#[test]
fn nothing_is_written_without_a_log() {
    let stage = Stage::new();
    for script in ENDING {
        stage.settle(script, &stage.deliver("a", JOB), JOB);
    }
    assert_eq!(stage.command(&["EXISTS", &key("log")]).integer(), 0);
}

#[test]
fn jobs_that_are_cancelled_and_jobs_that_cannot_be_read_are_recorded() {
    let stage = Stage::new();
    let entry = stage.enqueue(JOB);
    stage.call(&Call::cancel_ready(&entry).logged(LOG_BOUNDS, "one\n"));
    stage.schedule("9000000000000", "7-0", Some(&stage.pack("{'url','x'}")));
    stage.call(&Call::cancel_scheduled("7-0").logged(LOG_BOUNDS, "two\n"));
    stage.schedule("1", "8-0", Some(b"not-msgpack"));
    stage.call(&Call::promote().logged(LOG_BOUNDS, ""));
    stage.hold_raw("1", "9-0", Some(b"not-msgpack"));
    stage.call(&Call::admit(10, &[]).logged(LOG_BOUNDS, ""));
    let unreadable = |job_id: &str| format!("[\"{job_id}\",0,\"malformed\"]\n");
    assert_eq!(log(&stage), ["one\n".to_owned(), "two\n".to_owned(), unreadable("8-0"), unreadable("9-0")]);
}

#[test]
fn a_log_is_bounded_by_its_jobs_and_by_its_bytes() {
    let stage = Stage::new();
    let texts = |ids: &[u32]| ids.iter().map(|id| format!("{id:04}\n")).collect::<Vec<_>>();
    for id in 0..5 {
        complete(&stage, ["86400000", "3", "1000000"], &format!("{id:04}"));
    }
    assert_eq!(log(&stage), texts(&[2, 3, 4]));
    // 5 bytes each.
    complete(&stage, ["86400000", "100", "10"], "0005");
    assert_eq!(log(&stage), texts(&[4, 5]));
    complete(&stage, ["86400000", "100", "10"], &"x".repeat(99));
    assert_eq!(log(&stage).len(), 1, "the newest is always kept");
    // Others may delete entries, the log, or its sizes.
    let bounds = ["86400000", "5", "1000000"];
    (0..9).for_each(|_| complete(&stage, LOG_BOUNDS, "more"));
    stage.command(&["XTRIM", &key("log"), "MAXLEN", "4"]);
    complete(&stage, bounds, "more");
    assert_eq!(log(&stage).len(), 5);
    for deleted in ["log", "sizes"] {
        stage.command(&["DEL", &key(deleted)]);
        (0..7).for_each(|_| complete(&stage, bounds, "more"));
        assert_eq!(log(&stage).len(), 5, "{deleted}");
    }
    stage.command(&["SET", &key("sizes"), "of another type"]);
    (0..7).for_each(|_| complete(&stage, bounds, "more"));
    assert_eq!(log(&stage).len(), 5);
}

#[test]
fn a_group_counts_as_its_jobs() {
    let stage = Stage::new();
    for _ in 0..4 {
        let held: [RunningJob; 3] = deliver(&stage);
        stage.call(&Call::complete_logged(&held, ["86400000", "6", "1000000"]));
    }
    assert_eq!(log(&stage).len(), 2);
}

#[test]
fn old_records_are_deleted_in_blocks_and_in_bounded_steps() {
    let stage = Stage::new();
    let key = key("log");
    for id in 1..=2_500 {
        stage.command(&[
            "XADD",
            &key,
            &format!("{id}-0"),
            "records",
            "old\n",
            "jobs",
            &id.to_string(),
            "bytes",
            "9",
        ]);
    }
    let lengths = [(); 4].map(|()| {
        complete(&stage, LOG_BOUNDS, "new");
        log(&stage).len()
    });
    let [first, second, third, last] = lengths;
    assert!((1_500..=1_600).contains(&first) && (500..=600).contains(&second), "{lengths:?}");
    assert!(third < 104 && last < 104, "{lengths:?}");
}

/// A bound was lowered.
#[test]
fn what_is_beyond_a_bound_is_deleted_in_bounded_steps() {
    let stage = Stage::new();
    (0..90).for_each(|_| complete(&stage, LOG_BOUNDS, "more"));
    let lengths = [(); 6].map(|()| {
        complete(&stage, ["86400000", "10", "1000000"], "more");
        log(&stage).len()
    });
    assert_eq!(lengths, [71, 52, 33, 14, 10, 10]);
}

/// Redis' clock was set back.
#[test]
fn entries_of_a_time_to_come_stop_nothing() {
    let stage = Stage::new();
    let ahead = stage.now() + 7 * 86_400_000;
    stage.command(&[
        "XADD",
        &key("log"),
        &format!("{ahead}-5"),
        "records",
        "ahead\n",
        "jobs",
        "1",
        "bytes",
        "6",
    ]);
    (0..3).for_each(|_| complete(&stage, ["1000", "3", "1000000"], "new"));
    assert_eq!(log(&stage), ["new\n"; 3], "the bound of jobs still holds");
}

#[test]
fn entries_of_others_do_not_break_the_bounds() {
    for foreign in
        [["x", "y", "z", "y"], ["jobs", "999999999999", "bytes", "-1"], ["jobs", "nan", "bytes", "inf"]]
    {
        let stage = Stage::new();
        let now = stage.now();
        for id in 0..3 {
            let id = format!("{}-{id}", now - 10);
            stage.command(&[&["XADD", &key("log"), &id, "records", "foreign\n"][..], &foreign].concat());
        }
        (0..9).for_each(|_| complete(&stage, ["86400000", "5", "1000000"], "new"));
        assert_eq!(log(&stage), ["new\n"; 5], "{foreign:?}");
    }
}

/// The letter, and why the record was refused, as the worker reads it.
fn refused(reply: &Reply) -> (String, String) {
    let Reply::Array(parts) = reply else { panic!("the record was not refused: {reply:?}") };
    (parts[0].text(), without_line(&parts[1].text()).to_owned())
}

#[test]
fn a_log_of_a_wrong_type_stops_no_settlement() {
    for script in ENDING {
        let stage = Stage::new();
        stage.command(&["SET", &key("log"), "of another type"]);
        let held = stage.deliver("a", JOB);
        let call = Call::settle(script, &held, JOB).logged(LOG_BOUNDS, "the-record\n");
        let (letter, error) = refused(&stage.call(&call));
        assert!(letter == "o" && error.starts_with("WRONGTYPE"), "{script:?}: {letter} {error}");
        assert_eq!(stage.copies(MARK), settled(script), "{script:?}");
        assert_eq!(stage.call(&call).text(), "g", "{script:?}");
    }
    let stage = Stage::new();
    stage.command(&["SET", &key("log"), "of another type"]);
    stage.schedule("1", "8-0", Some(b"not-msgpack"));
    stage.schedule("2", "good", Some(&stage.pack(&format!("{{'body','{MARK}'}}"))));
    stage.call(&Call::promote().logged(LOG_BOUNDS, ""));
    assert_eq!((stage.copies(MARK), stage.copies("not-msgpack").dead), (in_stream(1), 1));
    let entry = stage.enqueue(JOB);
    assert_eq!(stage.call(&Call::cancel_ready(&entry).logged(LOG_BOUNDS, "one\n")).text(), "o");
}

#[test]
fn a_right_that_only_the_log_needs_stops_no_settlement() {
    for command in ["SET", "HMGET", "XREVRANGE", "XADD", "PEXPIRE", "HSET", "XRANGE"] {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        let call = Call::settle(Script::Complete, &held, &[]).logged(LOG_BOUNDS, "the-record\n");
        let reply = stage.call_without(command, &call);
        let letter = if let Reply::Array(parts) = &reply { parts[0].text() } else { reply.text() };
        assert_eq!(letter, "o", "-{command}");
        assert_eq!(stage.copies(MARK), settled(Script::Complete), "-{command}");
    }
}

/// A record may be larger than its job: then a full Redis would not drain.
#[test]
fn a_full_redis_drains_without_records() {
    let stage = Stage::new();
    let held: [RunningJob; 3] = deliver(&stage);
    fill(&stage);
    let (letters, error) = refused(&stage.call(&Call::complete_logged(&held, LOG_BOUNDS)));
    assert!(letters == "ooo" && error.starts_with("OOM"), "{letters} {error}");
    assert_eq!(stage.copies(MARK), settled(Script::Complete));
    stage.command(&["CONFIG", "SET", "maxmemory", "0"]);
    complete(&stage, LOG_BOUNDS, "after");
    assert_eq!(log(&stage), ["after\n"]);
}

/// The ids of the records found, and the calls that it took.
fn search(stage: &Stage, text: &str, page: &str) -> (Vec<String>, usize) {
    let (mut before, mut found, mut calls) = ("+".to_owned(), vec![], 0);
    while !before.is_empty() {
        let reply = stage.call(&Call::search_log(&before, page, text));
        let [next, read, rows] = reply.array() else { panic!("{reply:?}") };
        assert!(read.integer() <= 1000 + 4 * 256, "{read:?}");
        before = next.text();
        found.extend(rows.array().iter().map(|row| row.array()[1].text()));
        calls += 1;
    }
    (found, calls)
}

#[test]
fn a_search_returns_the_newest_first_and_reads_in_pages() {
    let stage = Stage::new();
    assert_eq!(search(&stage, "x", "1000"), (vec![], 1), "without a log");
    for group in 0..30 {
        let held: [RunningJob; 10] = deliver(&stage);
        let records: String = (0..10).map(|job| format!("job-{group}-{job} \"x{}\"\n", job % 5)).collect();
        let mut call = Call::complete_logged(&held, LOG_BOUNDS);
        call.args[8] = records.into_bytes();
        stage.call(&call);
    }
    let (found, calls) = search(&stage, "\"x3\"", "40");
    assert_eq!((found.len(), calls), (60, 8));
    assert_eq!(found[..3], ["job-29-3 \"x3\"", "job-29-8 \"x3\"", "job-28-3 \"x3\""]);
    assert_eq!(search(&stage, "job-7-7 ", "1000"), (vec!["job-7-7 \"x2\"".to_owned()], 1));
    assert_eq!(search(&stage, "%d", "1000").0, [""; 0], "the text is no pattern");
}
