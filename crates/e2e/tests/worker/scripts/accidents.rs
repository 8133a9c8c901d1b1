//! A key of a wrong type, a missing right: the job stays somewhere, and the repeated call completes the transition.

use e2e::scripts::LOG_BOUNDS;

use super::{Call, Copies, JOB, MARK, Reply, Script, Stage, in_stream, key, settled};

/// Keys that a script writes besides the stream; SET overwrites any type, so a result is not among them.
fn targets(script: Script) -> &'static [&'static str] {
    match script {
        Script::Postpone => &["waiting", "scheduled"],
        Script::DeadLetter | Script::DeadLetterEntry => &["dead"],
        _ => &[],
    }
}

#[test]
fn a_key_of_a_wrong_type_leaves_the_job_where_it_was() {
    for script in Script::SETTLING {
        for target in targets(script) {
            let stage = Stage::new();
            let held = stage.deliver("a", JOB);
            stage.command(&["SET", &key(target), "of another type"]);
            for _ in 0..3 {
                let answer = stage.settle(script, &held, JOB);
                assert!(answer.starts_with("error "), "{script:?} {target}: {answer}");
                assert_eq!(stage.copies(MARK).stream, 1, "{script:?} {target}");
            }
            stage.command(&["DEL", &key(target)]);
            assert_eq!(stage.settle(script, &held, JOB), "o", "{script:?} {target}");
            assert_eq!(stage.copies(MARK).found(), 1, "{script:?} {target}");
        }
    }
}

#[test]
fn a_stream_of_a_wrong_type_is_an_error_and_nothing_else() {
    let own = [Script::Join, Script::Extend, Script::Reclaim, Script::Promote, Script::Leave];
    for script in own.into_iter().chain(Script::SETTLING) {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        stage.schedule("1", "waits", Some(&stage.pack(&format!("{{'body','{MARK}'}}"))));
        stage.command(&["DEL", &key("jobs")]);
        stage.command(&["SET", &key("jobs"), "of another type"]);
        let call = match script {
            Script::Join => Call::join(),
            Script::Extend => Call::extend(&held),
            Script::Reclaim => Call::reclaim("b", 0),
            Script::Promote => Call::promote(),
            Script::Leave => Call::leave("a"),
            _ => Call::settle(script, &held, JOB),
        };
        let reply = stage.call(&call);
        assert!(matches!(&reply, super::Reply::Error(error) if error.contains("WRONGTYPE")), "{reply:?}");
        assert_eq!(stage.copies(MARK).waiting, 1, "{script:?}");
    }
}

/// Each command that a script may call is forbidden once.
#[test]
fn a_missing_right_loses_no_job() {
    for script in [Script::Postpone, Script::HandBack, Script::DeadLetter, Script::DeadLetterEntry] {
        for command in script.commands() {
            let stage = Stage::new();
            let held = stage.deliver("a", JOB);
            let answer = stage.settle_without(command, script, &held, JOB);
            assert!(answer == "o" || answer.starts_with("error "), "{script:?} -{command}: {answer}");
            assert!(stage.copies(MARK).found() >= 1, "{script:?} -{command}: {}", stage.snapshot());
        }
    }
}

/// A worker repeats a settlement until Redis accepts it. A right that is missing for hours must not fill Redis with
/// copies, and must leave nothing behind once it is granted.
#[test]
fn a_right_that_is_given_later_completes_every_move() {
    let mut wrong = Vec::new();
    for script in Script::SETTLING {
        for command in script.commands() {
            let stage = Stage::new();
            let held = stage.deliver("a", JOB);
            for _ in 0..5 {
                stage.settle_without(command, script, &held, JOB);
            }
            let during = stage.copies(MARK);
            stage.settle(script, &held, JOB);
            let after = stage.copies(MARK);
            if after != settled(script) {
                wrong.push(format!("{script:?} -{command}: {during:?}, in the end {after:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Else a heartbeat would drop what is pending without an entry, and the repeated call could neither count nor record the job.
#[test]
fn a_success_without_a_right_deletes_nothing() {
    for command in ["XDEL", "XACK"] {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        let before = stage.snapshot();
        let call = Call::settle(Script::Complete, &held, &[]);
        assert!(matches!(stage.call_without(command, &call), Reply::Error(_)), "-{command}");
        assert_eq!(stage.snapshot(), before, "-{command}");
        assert_eq!(stage.call(&call).text(), "o", "-{command}");
    }
}

/// After FLUSHALL, a text in the place of the stream would refuse all jobs.
#[test]
fn a_success_whose_stream_is_gone_makes_no_key() {
    for is_logged in [false, true] {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        stage.command(&["FLUSHALL"]);
        let call = Call::settle(Script::Complete, &held, &[]);
        let reply = stage.call(&if is_logged { call.logged(LOG_BOUNDS, "the-record\n") } else { call });
        match reply {
            Reply::Error(error) => assert!(is_logged && error.starts_with("NOGROUP"), "{error}"),
            reply => assert!(!is_logged && reply.text() == "g", "{reply:?}"),
        }
        assert_eq!(stage.command(&["DBSIZE"]).integer(), 0);
    }
}

/// The entry of a success is there and not pending, alone or beside one that is gone.
#[test]
fn a_success_that_is_pending_no_longer_ends_its_job() {
    for beside in [false, true] {
        for undo in
            [&["XACK", &key("jobs"), "postrider"][..], &["XGROUP", "DESTROY", &key("jobs"), "postrider"]]
        {
            let stage = Stage::new();
            let [gone, held] = [0; 2].map(|_| stage.deliver("a", JOB));
            assert_eq!(stage.settle(Script::Complete, &gone, JOB), "o");
            let id = (undo[0] == "XACK").then_some(held.id.as_str());
            stage.command(&undo.iter().copied().chain(id).collect::<Vec<_>>());
            let mut call = Call::settle(Script::Complete, if beside { &gone } else { &held }, &[]);
            call.args.extend(beside.then(|| held.id.clone().into_bytes()));
            assert_eq!(stage.call(&call).text(), if beside { "go" } else { "o" }, "{undo:?}");
            assert_eq!(stage.copies(MARK), Copies::default(), "{undo:?}");
            assert_eq!(stage.call(&call).text(), if beside { "gg" } else { "g" }, "{undo:?}");
        }
    }
}

#[test]
fn a_promote_without_a_right_loses_no_job() {
    for command in Script::Promote.commands() {
        let stage = Stage::new();
        stage.schedule("1", "job_id", Some(&stage.pack(&format!("{{'body','{MARK}'}}"))));
        for _ in 0..2 {
            stage.call_without(command, &Call::promote());
            assert!(stage.copies(MARK).found() >= 1, "-{command}: {}", stage.snapshot());
        }
    }
}

#[test]
fn a_promote_without_a_right_moves_each_job_once_in_the_end() {
    let mut wrong = Vec::new();
    for command in Script::Promote.commands() {
        let stage = Stage::new();
        stage.schedule("1", "job_id", Some(&stage.pack(&format!("{{'body','{MARK}'}}"))));
        for _ in 0..5 {
            stage.call_without(command, &Call::promote());
            assert!(stage.copies(MARK).found() >= 1, "-{command}: {}", stage.snapshot());
        }
        stage.call(&Call::promote());
        let after = stage.copies(MARK);
        if after != in_stream(1) {
            wrong.push(format!("Promote -{command}: {after:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_leave_or_a_reclaim_without_a_right_loses_no_job() {
    for (script, call) in [(Script::Leave, Call::leave("a")), (Script::Reclaim, Call::reclaim("b", 0))] {
        for command in script.commands() {
            let stage = Stage::new();
            stage.deliver("a", JOB);
            for _ in 0..2 {
                stage.call_without(command, &call);
                assert!(stage.copies(MARK).found() >= 1, "{script:?} -{command}: {}", stage.snapshot());
            }
        }
    }
}

#[test]
fn a_leave_or_a_reclaim_without_a_right_moves_each_job_once_in_the_end() {
    let mut wrong = Vec::new();
    for (script, call) in [(Script::Leave, Call::leave("a")), (Script::Reclaim, Call::reclaim("b", 0))] {
        for command in script.commands() {
            let stage = Stage::new();
            stage.deliver("a", JOB);
            for _ in 0..5 {
                stage.call_without(command, &call);
                assert!(stage.copies(MARK).found() >= 1, "{script:?} -{command}: {}", stage.snapshot());
            }
            stage.call(&call);
            let after = stage.copies(MARK);
            if after != in_stream(1) {
                wrong.push(format!("{script:?} -{command}: {after:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
