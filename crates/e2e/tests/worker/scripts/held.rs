//! Jobs that their flow holds: held and admitted.

use super::batches::UNREADABLE;
use super::full::fill;
use super::{Call, Copies, JOB, MARK, Reply, Script, Stage, in_stream, key};
use e2e::scripts::FLOW;

pub(super) const HELD: Copies = Copies { stream: 0, waiting: 1, dead: 0, stray: 0 };

fn set() -> String {
    key(&format!("flow:{FLOW}"))
}

/// The number that moved, and the number left.
fn admitted(reply: &Reply) -> (i64, i64) {
    (reply.array()[0].integer(), reply.array()[1].integer())
}

fn packed(stage: &Stage) -> Vec<u8> {
    stage.pack(&format!("{{'body','{MARK}'}}"))
}

#[test]
fn a_key_of_a_wrong_type_holds_no_job() {
    for target in ["waiting", "flows", &format!("flow:{FLOW}")] {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        let postpone = Call::postpone_into_flow(&held, JOB);
        stage.command(&["SET", &key(target), "of another type"]);
        for _ in 0..3 {
            let reply = stage.call(&postpone);
            assert!(
                matches!(&reply, Reply::Error(error) if error.contains("WRONGTYPE")),
                "{target}: {reply:?}"
            );
            assert_eq!(stage.copies(MARK).stream, 1, "{target}");
        }
        stage.command(&["DEL", &key(target)]);
        assert_eq!(stage.call(&postpone).array()[0].text(), "o", "{target}");
        assert_eq!(stage.copies(MARK), HELD, "{target}");
    }
}

#[test]
fn a_right_that_is_given_later_holds_each_job_once() {
    for command in Script::Postpone.commands() {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        let postpone = Call::postpone_into_flow(&held, JOB);
        for _ in 0..5 {
            stage.call_without(command, &postpone);
            assert!(stage.copies(MARK).found() >= 1, "-{command}: {}", stage.snapshot());
        }
        stage.call(&postpone);
        assert_eq!(stage.copies(MARK), HELD, "-{command}: {}", stage.snapshot());
    }
}

#[test]
fn an_admission_without_a_right_moves_each_job_once_in_the_end() {
    for command in Script::Admit.commands() {
        let stage = Stage::new();
        let job_id = stage.hold(JOB);
        for expired in [&[][..], &[], &[job_id.as_str()], &[job_id.as_str()]] {
            stage.call_without(command, &Call::admit(1, expired));
            assert!(stage.copies(MARK).found() >= 1, "-{command}: {}", stage.snapshot());
        }
        stage.call(&Call::admit(1, &[]));
        assert_eq!(stage.copies(MARK), in_stream(1), "-{command}: {}", stage.snapshot());
    }
}

#[test]
fn a_key_of_a_wrong_type_admits_no_job_twice() {
    for target in ["jobs", "waiting", "flows", &format!("flow:{FLOW}")] {
        let stage = Stage::new();
        stage.hold(JOB);
        stage.command(&["RENAME", &key(target), "aside"]);
        stage.command(&["SET", &key(target), "of another type"]);
        for _ in 0..3 {
            let reply = stage.call(&Call::admit(1, &[]));
            // The list of flows is not needed to admit from one.
            assert_eq!(matches!(reply, Reply::Error(_)), target != "flows", "{target}: {reply:?}");
        }
        stage.command(&["RENAME", "aside", &key(target)]);
        stage.call(&Call::admit(1, &[]));
        assert_eq!(stage.copies(MARK), in_stream(1), "{target}: {}", stage.snapshot());
    }
}

#[test]
fn an_admission_that_is_repeated_moves_nothing_twice() {
    let stage = Stage::new();
    stage.hold(JOB);
    stage.hold(&[("url", "http://127.0.0.1/"), ("body", "the-second")]);
    assert_eq!(admitted(&stage.call(&Call::admit(0, &[]))), (0, 2), "none is a number, too");
    for expected in [(1, 1), (1, 0), (0, 0)] {
        assert_eq!(admitted(&stage.call(&Call::admit(1, &[]))), expected);
        let second = usize::from(expected != (1, 1));
        assert_eq!([stage.copies(MARK).stream, stage.copies("the-second").stream], [1, second], "in order");
    }
    assert_eq!([stage.copies(MARK), stage.copies("the-second")], [in_stream(1); 2]);
    for left in [set(), key("flows"), key("waiting")] {
        assert_eq!(stage.command(&["EXISTS", &left]), Reply::Integer(0), "{left}");
    }
}

#[test]
fn an_admission_moves_about_as_much_as_fits_into_a_reply() {
    let stage = Stage::new();
    let large = stage.pack(&format!("{{'url','http://h/','body',('{MARK}'):rep(60000)}}"));
    for job_id in ["1", "2", "3", "4", "5", "6"] {
        stage.hold_raw(job_id, job_id, Some(&large));
    }
    assert_eq!(admitted(&stage.call(&Call::admit(100, &[]))), (4, 2));
    assert_eq!(admitted(&stage.call(&Call::admit(1, &["5"]))), (2, 0), "also of those that may be too old");
    assert_eq!(stage.copies(MARK), in_stream(6));
}

#[test]
fn jobs_that_have_expired_go_besides_and_report_it() {
    let stage = Stage::new();
    let hold = |body, expires| {
        let held = stage.deliver("holder", &[("url", "http://127.0.0.1/"), ("body", body)]);
        stage.call(&Call::postpone_failed(&held, &[("body", body)], 0, expires));
        held.job_id
    };
    let (old, _) = (hold("the-old", 1000), hold("the-new", stage.now() + 60_000));
    let expired = |stage: &Stage| -> Vec<String> {
        stage.call(&Call::promote()).array()[6].array().iter().map(Reply::text).collect()
    };
    assert_eq!(expired(&stage), [format!("{FLOW}{old}")]);
    assert_eq!(admitted(&stage.call(&Call::admit(0, &[&old]))), (1, 1));
    assert_eq!((stage.copies("the-old"), stage.copies("the-new").waiting), (in_stream(1), 1));
    assert_eq!(
        [stage.copies("_admitted old"), stage.copies("_admitted yes")],
        [in_stream(1), Copies::default()]
    );
    assert!(expired(&stage).is_empty(), "once");
    // A job that left its flow otherwise is forgotten when it would have expired, wherever it is now.
    stage.schedule("32503680000000", "moved", Some(&packed(&stage)));
    stage.command(&["ZADD", &key("expiring"), "5", &format!("{FLOW}moved")]);
    assert_eq!(admitted(&stage.call(&Call::admit(0, &["moved"]))), (0, 1));
    assert_eq!(stage.copies(MARK), HELD);
    assert!(expired(&stage).is_empty());
    assert_eq!(admitted(&stage.call(&Call::admit(1, &[]))), (1, 0));
    assert_eq!(stage.command(&["EXISTS", &key("expiring")]), Reply::Integer(0));
}

#[test]
fn a_job_that_has_failed_less_often_comes_first() {
    let stage = Stage::new();
    for (mark, failures) in
        [("failed-twice", 2), ("failed-once", 1), ("never-failed", 0), ("nor-did-this", 0)]
    {
        let held = stage.deliver("holder", &[("body", mark)]);
        stage.call(&Call::postpone_failed(&held, &[("body", mark)], failures, 0));
    }
    let mut untried = Call::admit(9, &[]);
    untried.args[4] = b"-1".to_vec();
    assert_eq!(admitted(&stage.call(&untried)), (2, 2), "only those that have not failed");
    for mark in ["failed-once", "failed-twice"] {
        assert_eq!(stage.copies(mark).waiting, 1);
        assert_eq!(admitted(&stage.call(&Call::admit(1, &[]))).0, 1);
        assert_eq!(stage.copies(mark), in_stream(1), "{mark}: {}", stage.snapshot());
    }
}

#[test]
fn a_job_that_has_failed_may_go_before_others() {
    let stage = Stage::new();
    for (mark, failures) in [("never-failed", 0), ("failed-once", 1), ("failed-twice", 2)] {
        let held = stage.deliver("holder", &[("body", mark)]);
        stage.call(&Call::postpone_failed(&held, &[("body", mark)], failures, 0));
    }
    let mut one_failed = Call::admit(2, &[]);
    one_failed.args[4] = b"1".to_vec();
    assert_eq!(admitted(&stage.call(&one_failed)), (2, 1));
    for mark in ["failed-once", "never-failed"] {
        assert_eq!(stage.copies(mark), in_stream(1), "{mark}: {}", stage.snapshot());
    }
    assert_eq!(admitted(&stage.call(&one_failed)), (1, 0), "with only one left, that one");
}

#[test]
fn an_admission_passes_what_it_cannot_read() {
    for (name, lua) in UNREADABLE {
        let stage = Stage::new();
        let bytes = lua.map_or_else(|| b"\xc1garbage".to_vec(), |lua| stage.pack(lua));
        stage.hold_raw("1", "bad", Some(&bytes));
        stage.hold_raw("2", "good", Some(&packed(&stage)));
        let reply = stage.call(&Call::admit(2, &[]));
        assert_eq!(admitted(&reply).1, 0, "{name}: {reply:?}");
        assert_eq!(stage.copies(MARK), in_stream(1), "{name}: {}", stage.snapshot());
    }
}

#[test]
fn a_member_without_a_job_is_dropped() {
    let stage = Stage::new();
    stage.hold_raw("1", "nothing", None);
    stage.hold_raw("2", "good", Some(&packed(&stage)));
    assert_eq!(admitted(&stage.call(&Call::admit(2, &[]))), (1, 0));
    assert_eq!(stage.copies(MARK), in_stream(1));
}

#[test]
fn rejected_entries_of_a_wrong_type_do_not_stop_an_admission() {
    let stage = Stage::new();
    stage.command(&["SET", &key("rejected"), "of another type"]);
    stage.hold_raw("1", "bad", Some(b"not-msgpack"));
    stage.hold_raw("2", "good", Some(&packed(&stage)));
    for _ in 0..2 {
        stage.call(&Call::admit(1, &[]));
        assert_eq!(stage.copies("not-msgpack").waiting, 1, "{}", stage.snapshot());
    }
    assert_eq!(stage.copies(MARK), in_stream(1), "{}", stage.snapshot());
    stage.command(&["DEL", &key("rejected")]);
    assert_eq!(admitted(&stage.call(&Call::admit(1, &[]))), (0, 0));
    assert_eq!(stage.copies("not-msgpack").dead, 1);
}

#[test]
fn a_full_redis_still_holds_and_admits() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    stage.hold_raw("1", "bad", Some(b"not-msgpack"));
    fill(&stage);
    assert_eq!(stage.call(&Call::postpone_into_flow(&held, JOB)).array()[0].text(), "o");
    assert_eq!(stage.copies(MARK), HELD);
    assert_eq!(admitted(&stage.call(&Call::admit(2, &[]))), (1, 0));
    assert_eq!((stage.copies(MARK), stage.copies("not-msgpack").dead), (in_stream(1), 1));
}
