//! The end of a job and its callback are one: neither exists without the other, whatever happens to the call.

use e2e::scripts::{CALLBACK_ID, LOG_BOUNDS, REPORT};

use super::full::fill;
use super::{Call, Copies, JOB, MARK, Reply, Script, Stage, key};

/// An end of a job, from the state that it begins in.
struct End {
    script: Script,
    prepare: fn(&Stage) -> Call,
    dead: usize,
}

const ENDS: [End; 6] = [
    End {
        script: Script::CompleteWithResult,
        prepare: |stage| Call::settle(Script::CompleteWithResult, &stage.deliver("a", JOB), JOB),
        dead: 0,
    },
    End {
        script: Script::DeadLetter,
        prepare: |stage| Call::settle(Script::DeadLetter, &stage.deliver("a", JOB), JOB),
        dead: 1,
    },
    End {
        script: Script::DeadLetterEntry,
        prepare: |stage| Call::settle(Script::DeadLetterEntry, &stage.deliver("a", JOB), JOB),
        dead: 1,
    },
    End {
        script: Script::CancelReady,
        prepare: |stage| Call::cancel_ready(&stage.deliver("a", JOB).id),
        dead: 1,
    },
    End {
        script: Script::CancelWaiting,
        prepare: |stage| {
            stage.schedule(
                "9999999999999",
                "7-0",
                Some(&stage.pack(&format!("{{'url','x','body','{MARK}'}}"))),
            );
            Call::cancel_scheduled("7-0")
        },
        dead: 1,
    },
    End { script: Script::CancelWaiting, prepare: |stage| Call::cancel_held(&stage.hold(JOB)), dead: 1 },
];

/// Whether the job has ended, and how many callbacks there are.
fn ended(stage: &Stage, end: &End) -> (bool, usize) {
    let job = stage.copies(MARK);
    let has_ended = job == Copies { dead: end.dead, ..Copies::default() };
    (has_ended, stage.copies(REPORT).stream)
}

#[test]
fn the_end_of_a_job_enqueues_its_callback_once() {
    for (end, is_logged) in ENDS.iter().flat_map(|end| [(end, false), (end, true)]) {
        let (stage, script) = (Stage::new(), end.script);
        let mut call = (end.prepare)(&stage);
        if is_logged {
            call = call.logged(LOG_BOUNDS, "[1]\n");
        }
        let call = call.with_callback();
        stage.call(&call);
        assert_eq!(ended(&stage, end), (true, 1), "{script:?}: {}", stage.snapshot());
        let callback = stage.command(&["XREVRANGE", &key("jobs"), "+", "-", "COUNT", "1"]);
        let fields: Vec<String> = callback.array()[0].array()[1].array().iter().map(Reply::text).collect();
        assert_eq!(fields[..2], ["_job_id", CALLBACK_ID], "{script:?}");
        assert_eq!(fields.iter().filter(|name| *name == "_mark").count(), 1, "{script:?}: {fields:?}");
        assert_eq!(stage.pending(), [], "{script:?}: no worker has the callback yet");
        let records = stage.command(&["XLEN", &key("log")]).integer();
        assert_eq!(records, i64::from(is_logged), "{script:?}");
        let before = stage.snapshot();
        let again = stage.call(&call);
        assert_eq!(again.text(), "g", "{script:?}");
        assert_eq!(stage.snapshot(), before, "{script:?}: a repeated call changes nothing");
    }
}

/// A worker repeats a settlement until Redis takes it.
#[test]
fn a_missing_right_leaves_the_job_without_a_callback_and_both_follow_once_it_is_given() {
    let mut wrong = Vec::new();
    for end in &ENDS {
        for command in end.script.commands() {
            let stage = Stage::new();
            let call = (end.prepare)(&stage).with_callback();
            for _ in 0..3 {
                stage.call_without(command, &call);
                let (has_ended, callbacks) = ended(&stage, end);
                if has_ended != (callbacks == 1) || callbacks > 1 {
                    wrong.push(format!("{:?} -{command}: {has_ended}, {callbacks} callbacks", end.script));
                }
            }
            stage.call(&call);
            if ended(&stage, end) != (true, 1) {
                wrong.push(format!("{:?} -{command}, in the end {:?}", end.script, ended(&stage, end)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_key_of_a_wrong_type_leaves_the_job_without_a_callback() {
    for end in ENDS.iter().filter(|end| end.dead == 1) {
        let (stage, script) = (Stage::new(), end.script);
        let call = (end.prepare)(&stage).with_callback();
        stage.command(&["SET", &key("dead"), "of another type"]);
        for _ in 0..3 {
            assert!(matches!(stage.call(&call), Reply::Error(_)), "{script:?}");
            assert_eq!(ended(&stage, end), (false, 0), "{script:?}");
        }
        stage.command(&["DEL", &key("dead")]);
        stage.call(&call);
        assert_eq!(ended(&stage, end), (true, 1), "{script:?}");
    }
}

#[test]
fn a_full_redis_still_ends_a_job_with_its_callback() {
    for end in &ENDS {
        let (stage, script) = (Stage::new(), end.script);
        let call = (end.prepare)(&stage).with_callback();
        fill(&stage);
        stage.call(&call);
        assert_eq!(ended(&stage, end), (true, 1), "{script:?}");
        assert_eq!(stage.call(&call).text(), "g", "{script:?}");
        assert_eq!(ended(&stage, end), (true, 1), "{script:?}");
    }
}

/// No worker has joined it: it has no mark yet.
#[test]
fn a_callback_of_a_shard_without_a_mark_has_one() {
    let stage = Stage::new();
    stage.command(&["DEL", &key("mark")]);
    let call = Call::cancel_ready(&stage.enqueue(JOB)).with_callback();
    assert_eq!(stage.call(&call).text(), "o");
    assert_eq!(stage.command(&["GET", &key("mark")]).text(), e2e::scripts::MARK);
    assert_eq!(stage.copies(REPORT).stream, 1);
}
