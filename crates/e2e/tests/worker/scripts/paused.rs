//! Tests of the scripts that pause, resume, and read what is paused.

use e2e::resp::Reply;
use e2e::scripts::CONTROL;
use e2e::wait::{DEADLINE, eventually};

use super::full::fill;
use super::{Call, Script, Stage};

/// The outcome of a pause, and which were paused before.
fn pause(stage: &Stage, at: i64, after: u32, fields: &[&str]) -> (String, Vec<i64>) {
    let reply = stage.call(&Call::pause(at, after, fields));
    let [_, _, outcome, were] = reply.array() else { panic!("{reply:?}") };
    (outcome.text(), were.array().iter().map(Reply::integer).collect())
}

/// The fields that last, with their ends, in the order of their names.
fn lasting(stage: &Stage) -> Vec<(String, String)> {
    let reply = stage.call(&Call::control());
    let fields = reply.array()[1].array().chunks_exact(2);
    let mut fields: Vec<_> = fields.map(|pair| (pair[0].text(), pair[1].text())).collect();
    fields.sort();
    fields
}

fn value(stage: &Stage, field: &str) -> String {
    stage.command(&["HGET", CONTROL, field]).text()
}

#[test]
fn a_pause_lasts_until_it_is_resumed_or_ends() {
    let stage = Stage::new();
    assert_eq!(lasting(&stage), []);
    assert_eq!(pause(&stage, 0, 0, &["q:mail", "f:x"]), ("paused".to_owned(), vec![0, 0]));
    let end = stage.now() + 60_000;
    assert_eq!(pause(&stage, end, 0, &["q:bulk"]), ("paused".to_owned(), vec![0]));
    let of = |field: &str, end: &str| (field.to_owned(), end.to_owned());
    assert_eq!(lasting(&stage), [of("f:x", "0"), of("q:bulk", &end.to_string()), of("q:mail", "0")]);
    let were = |reply: &Reply| reply.array().iter().map(Reply::integer).collect::<Vec<_>>();
    assert_eq!(were(&stage.call(&Call::resume(&["q:mail", "q:none", "f:x"]))), [1, 0, 1]);
    assert_eq!(were(&stage.call(&Call::resume(&["q:mail"]))), [0], "again");
    assert_eq!(lasting(&stage), [of("q:bulk", &end.to_string())]);
}

#[test]
fn a_pause_that_is_repeated_changes_its_end_and_not_its_start() {
    let stage = Stage::new();
    pause(&stage, 0, 0, &["q:mail"]);
    let first = value(&stage, "q:mail");
    let since = first.split(' ').nth(1).expect("a start");
    assert_eq!(first, format!(r#"0 {since} {{"why":"a test"}}"#));
    eventually("a later time", DEADLINE, || (stage.now() > since.parse().expect("a time")).then_some(()));
    assert_eq!(pause(&stage, 0, 60_000, &["q:mail"]), ("paused".to_owned(), vec![1]));
    let second = value(&stage, "q:mail");
    assert!(!second.starts_with("0 ") && second.contains(&format!(" {since} ")), "{second}");
}

#[test]
fn what_has_ended_is_removed_and_what_is_foreign_stays() {
    let stage = Stage::new();
    pause(&stage, 0, 1, &["q:mail", "f:x"]);
    stage.command(&["HSET", CONTROL, "tail", "1", "note", "by hand", "q:kept", "9999999999999"]);
    eventually("ends", DEADLINE, || (lasting(&stage).len() == 1).then_some(()));
    let left = stage.command(&["HKEYS", CONTROL]);
    let mut left: Vec<String> = left.array().iter().map(Reply::text).collect();
    left.sort();
    assert_eq!(left, ["note", "q:kept"]);
}

#[test]
fn an_end_in_the_past_and_too_many_pauses_change_nothing() {
    let stage = Stage::new();
    assert_eq!(pause(&stage, stage.now(), 0, &["q:mail"]), ("over".to_owned(), vec![]));
    assert_eq!(pause(&stage, 0, 0, &["a", "b", "c", "d", "e"]).0, "paused");
    assert_eq!(pause(&stage, 0, 0, &["e", "f"]), ("full".to_owned(), vec![1, 0]));
    assert_eq!(pause(&stage, 0, 1, &["e"]).0, "paused", "what is paused may be changed");
    assert_eq!(stage.command(&["HLEN", CONTROL]).integer(), 5);
    eventually("room after an end", DEADLINE, || {
        (pause(&stage, 0, 0, &["f"]) == ("paused".to_owned(), vec![0])).then_some(())
    });
}

#[test]
fn a_full_redis_can_be_paused_and_read() {
    let stage = Stage::new();
    stage.command(&["HSET", CONTROL, "q:old", "1"]);
    fill(&stage);
    assert_eq!(pause(&stage, 0, 0, &["q:mail"]).0, "paused");
    assert_eq!(lasting(&stage).len(), 1);
    stage.command(&["HSET", CONTROL, "q:old", "1"]);
    let reply = stage.call_without("hdel", &Call::control());
    assert_eq!(reply.array()[1].array().len(), 2, "a missing right hides nothing: {reply:?}");
    assert!(Script::Control.commands().contains(&"HDEL"));
}
