//! Dead letters: their bounds, and those that are made of entries that no worker may see.

use super::{Call, JOB, MARK, Reply, RunningJob, Script, Stage, in_stream, key};
use e2e::scripts::MARK as SHARD_MARK;

/// Dead-letters a new job with these bounds, and returns what is kept: the number of letters.
fn dead_letter(stage: &Stage, body: &str, count: &str, bytes: &str) -> i64 {
    let fields = [("url", "http://127.0.0.1/"), ("body", body)];
    let held = stage.deliver("a", &fields);
    let mut call = Call::settle(Script::DeadLetter, &held, &fields);
    (call.args[4], call.args[5]) = (count.into(), bytes.into());
    assert_eq!(stage.call(&call).text(), "o");
    stage.command(&["XLEN", &key("dead")]).integer()
}

fn deleted(stage: &Stage) -> String {
    match stage.command(&["HGET", &key("sizes"), "dead_deleted"]) {
        Reply::Nil => String::new(),
        number => number.text(),
    }
}

#[test]
fn dead_letters_are_bounded_by_their_number_and_by_their_bytes() {
    let stage = Stage::new();
    let body = "x".repeat(1000);
    assert_eq!([(); 5].map(|()| dead_letter(&stage, &body, "3", "1000000")), [1, 2, 3, 3, 3]);
    assert_eq!(deleted(&stage), "2");
    assert_eq!(dead_letter(&stage, &body, "100", "2500"), 2, "what was deleted counts no more");
    assert_eq!(dead_letter(&stage, &"x".repeat(9000), "100", "2500"), 1, "the newest is always kept");
    assert_eq!(dead_letter(&stage, &body, "100", "2500"), 1);
    assert_eq!(dead_letter(&stage, &body, "100", "2500"), 2);
    // Others delete dead letters, too.
    stage.command(&["XTRIM", &key("dead"), "MAXLEN", "1"]);
    assert_eq!(dead_letter(&stage, &body, "100", "2500"), 2);
    stage.command(&["DEL", &key("dead")]);
    assert_eq!([(); 3].map(|()| dead_letter(&stage, &body, "100", "2500")), [1, 2, 2]);
}

#[test]
fn old_dead_letters_are_deleted_and_not_counted() {
    let stage = Stage::new();
    for id in ["1-0", "2-0"] {
        stage.command(&["XADD", &key("dead"), id, "url", "http://127.0.0.1/"]);
    }
    assert_eq!(dead_letter(&stage, "x", "100", "100000"), 1);
    assert_eq!(deleted(&stage), "");
}

/// The sizes are only bookkeeping: without them, number and age still hold.
#[test]
fn sizes_of_a_wrong_type_stop_no_dead_letter() {
    let stage = Stage::new();
    stage.command(&["SET", &key("sizes"), "of another type"]);
    assert_eq!([(); 3].map(|()| dead_letter(&stage, "x", "2", "100000")), [1, 2, 2]);
}

/// The id, the delivery count, the fields, and the size if the fields are cut, of each entry taken over.
fn taken(stage: &Stage, consumer: &str) -> Vec<(i64, Vec<String>, i64)> {
    let row = |row: &Reply| {
        let [_, count, fields, size] = row.array() else { panic!("{row:?}") };
        (count.integer(), fields.array().iter().map(Reply::text).collect(), size.integer())
    };
    stage.take_over(consumer, 0).iter().map(row).collect()
}

fn lease(stage: &Stage) -> RunningJob {
    let rows = stage.pending();
    let row = rows[0].array();
    RunningJob {
        id: row[0].text(),
        consumer: row[1].text(),
        count: row[3].integer().to_string(),
        job_id: row[0].text(),
    }
}

#[test]
fn an_entry_that_is_too_large_leaves_redis_only_once() {
    let stage = Stage::new();
    let body = format!("{MARK}{}", "x".repeat(4 << 20));
    stage.deliver("a", &[("url", "http://127.0.0.1/"), ("body", &body), ("label", "order-7")]);
    let own = body.len() + "urlhttp://127.0.0.1/bodylabelorder-7".len();
    for (consumer, count) in [("b", 2), ("c", 3), ("b", 4)] {
        let [(deliveries, fields, size)] = &taken(&stage, consumer)[..] else { panic!("one") };
        assert_eq!((*deliveries, *size), (count, own as i64));
        assert_eq!(fields, &["url", "http://127.0.0.1/", "label", "order-7"]);
    }
    let mut call = Call::settle(Script::DeadLetterEntry, &lease(&stage), &[("_reason", "malformed")]);
    (call.keys[1], call.args[10]) = (key("rejected"), b"0".to_vec());
    assert_eq!(stage.call(&call).text(), "o");
    assert_eq!((stage.copies(MARK).dead, stage.pending()), (1, vec![]));
    let letter = stage.command(&["XRANGE", &key("rejected"), "-", "+"]);
    let fields: Vec<String> = letter.array()[0].array()[1].array().iter().map(Reply::text).collect();
    assert!(fields[1].starts_with(&format!("url=http://127.0.0.1/\nbody={MARK}xxx")), "{:.80}", fields[1]);
    assert_eq!((fields[0].as_str(), fields[1].len()), ("_raw", 65_536));
    assert_eq!(fields[2..6], ["_raw_fields", "3", "_reason", "malformed"]);
}

/// What the worker has added does not count, and a dead letter has the whole job.
#[test]
fn a_job_that_was_delivered_too_often_is_returned_without_its_body_and_dead_lettered_whole() {
    let stage = Stage::new();
    let body = "x".repeat((4 << 20) - 100);
    let mark =
        stage.command(&["EVAL", "return redis.sha1hex(ARGV[1])", "0", &format!("{SHARD_MARK}7-7")]).text();
    let own = [("_history", "[]"), ("_attempt", "2"), ("_enqueued_at", "7"), ("_admitted", "yes")];
    let trail = [&own[..], &[("_job_id", "7-7"), ("_mark", &mark)]].concat();
    stage.deliver("a", &[&[("url", "http://h/"), ("body", &body)], &trail[..]].concat());
    for count in 2..6 {
        let rows = taken(&stage, if count % 2 == 0 { "b" } else { "a" });
        assert_eq!((rows[0].0, rows[0].1.len(), rows[0].2), (count, 16, 0), "it is whole");
    }
    let [(count, fields, size)] = &taken(&stage, "b")[..] else { panic!("one") };
    assert_eq!((*count, *size), (6, (body.len() + 16) as i64));
    assert_eq!(fields[..2], ["url", "http://h/"]);
    assert!(!fields.contains(&"body".to_owned()));
    let call = Call::settle(Script::DeadLetterEntry, &lease(&stage), &[("_reason", "poison")]);
    assert_eq!(stage.call(&call).text(), "o");
    let letter = stage.command(&["XRANGE", &key("dead"), "-", "+"]);
    let mut fields: Vec<String> = letter.array()[0].array()[1].array().iter().map(Reply::text).collect();
    assert_eq!(fields[3], body);
    fields[3].clear();
    let expected = ["url", "http://h/", "body", "", "_history", "[]", "_attempt", "2", "_enqueued_at", "7"];
    assert_eq!(fields[..10], expected);
    assert_eq!(fields[10..13], ["_reason", "poison", "_dead_at"]);
}

/// Suspects run one at a time. What is only dead-lettered waits for none.
#[test]
fn what_is_only_dead_lettered_is_no_suspect() {
    let stage = Stage::new();
    let held = [stage.deliver("a", JOB), stage.deliver("a", JOB)];
    for (held, deliveries) in held.iter().zip(["3", "9"]) {
        let claim =
            ["XCLAIM", &key("jobs"), "postrider", "a", "0", &held.id, "RETRYCOUNT", deliveries, "JUSTID"];
        stage.command(&claim);
    }
    let mut call = Call::reclaim("b", 0);
    call.args[4] = b"0".to_vec();
    let reply = stage.call(&call);
    let taken = reply.array()[1].array();
    assert_eq!((reply.array()[0].integer(), taken.len()), (1, 1), "the suspect is passed");
    assert_eq!((taken[0].array()[0].text(), taken[0].array()[1].integer()), (held[1].id.clone(), 10));
    assert_eq!(stage.copies(MARK), in_stream(2));
}
