//! One entry or member that cannot be moved: it stays or is dead-lettered, and blocks nothing else.

use super::{Call, JOB, MARK, Reply, Script, Stage, in_stream};

/// Values that none of the scripts writes as a job: a name, and Lua that makes the value; without Lua it is not
/// MessagePack.
pub(super) const UNREADABLE: [(&str, Option<&str>); 10] = [
    ("garbage", None),
    ("nothing", Some("{}")),
    ("a number", Some("7")),
    ("an odd list", Some("{'url'}")),
    ("a table inside", Some("{'url',{'nested'}}")),
    ("a boolean inside", Some("{'url',true}")),
    ("a map", Some("{url='x'}")),
    ("a fraction", Some("{'url',1.5}")),
    ("many fields", Some("(function() local l = {} for i = 1, 1022 do l[i] = 'x' end return l end)()")),
    ("too many", Some("(function() local l = {} for i = 1, 9000 do l[i] = 'x' end return l end)()")),
];

/// More fields than Lua can pass to one call.
fn wide() -> Vec<(&'static str, &'static str)> {
    let mut fields = vec![("body", "the-wide-one")];
    fields.resize(4000, ("name", "value"));
    fields
}

#[test]
fn an_entry_with_too_many_fields_stays_pending() {
    for script in [Script::Postpone, Script::HandBack, Script::DeadLetter] {
        let stage = Stage::new();
        let fields = wide();
        let held = stage.deliver("a", &fields);
        let before = stage.snapshot();
        let answer = stage.settle(script, &held, &fields);
        assert!(answer.starts_with("error "), "{script:?}: {answer}");
        assert_eq!(stage.snapshot(), before, "{script:?}");
    }
}

#[test]
fn a_worker_that_leaves_hands_back_what_can_be_carried() {
    let stage = Stage::new();
    let fields = wide();
    stage.deliver("a", &fields);
    stage.deliver("a", JOB);
    stage.call(&Call::leave("a"));
    assert!(
        stage.read("b").len() == 2 || stage.copies("the-wide-one") == in_stream(1),
        "the wide one is kept"
    );
    let rows = stage.pending();
    let left = rows.iter().filter(|row| row.array()[1].text() == "a").count();
    assert!(left <= 1, "jobs that can be moved are handed back: {left} are left");
}

/// Members that no script writes, before a good one.
#[test]
fn a_promote_passes_what_it_cannot_read() {
    let mut wrong = Vec::new();
    for (name, lua) in UNREADABLE {
        let stage = Stage::new();
        let bytes = lua.map_or_else(|| b"\xc1garbage".to_vec(), |lua| stage.pack(lua));
        stage.schedule("1", "bad", Some(&bytes));
        stage.schedule("2", "good", Some(&stage.pack(&format!("{{'body','{MARK}'}}"))));
        let reply = stage.call(&Call::promote());
        let left = stage.command(&["ZCARD", &super::key("scheduled")]).integer();
        if matches!(reply, Reply::Error(_)) || stage.copies(MARK) != in_stream(1) || left != 0 {
            wrong.push(format!("{name}: {reply:?}, {left} left in the schedule"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_member_without_a_job_is_dropped() {
    let stage = Stage::new();
    stage.schedule("1", "nothing", None);
    stage.schedule("2", "good", Some(&stage.pack(&format!("{{'body','{MARK}'}}"))));
    assert_eq!(stage.call(&Call::promote()).array()[..2], [Reply::Integer(1), Reply::Integer(0)]);
    assert_eq!(stage.command(&["ZCARD", &super::key("scheduled")]), Reply::Integer(0));
}

#[test]
fn a_score_that_is_no_time_does_not_hide_the_next_one() {
    for score in ["inf", "1e300", "99999999999999.5"] {
        let stage = Stage::new();
        stage.schedule(score, "far", Some(&stage.pack("{'url','x'}")));
        let reply = stage.call(&Call::promote());
        let next = reply.array()[1].integer();
        assert!(next >= 0, "{score}: the next is due at {next}");
    }
}

#[test]
fn rejected_entries_of_a_wrong_type_do_not_stop_a_promote() {
    let stage = Stage::new();
    stage.command(&["SET", &super::key("rejected"), "of another type"]);
    stage.schedule("1", "bad", Some(b"not-msgpack"));
    stage.schedule("2", "good", Some(&stage.pack(&format!("{{'body','{MARK}'}}"))));
    for _ in 0..2 {
        stage.call(&Call::promote());
        assert_eq!(stage.copies("not-msgpack").waiting, 1, "{}", stage.snapshot());
    }
    assert_eq!(stage.copies(MARK), in_stream(1), "{}", stage.snapshot());
}
