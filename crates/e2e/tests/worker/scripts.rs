//! Tests of the scripts themselves, called by EVAL against a real server: each transition in its good case,
//! repeated, by the wrong caller, and through the accidents that a server can have.
//!
//! After each accident the job is still somewhere, never nowhere; and once the accident is put right, the same
//! call ends as if there had been none.

use e2e::resp::Reply;
use e2e::scripts::{Call, Copies, RunningJob, Script, Stage, key};

mod accidents;
mod batches;
mod by_hand;
mod callbacks;
mod clocks;
mod counted;
mod dead_letters;
mod flow_answers;
mod flow_limits;
mod followed;
mod full;
mod held;
mod homes;
mod logged;
mod paused;
mod searched;
mod swept;
mod taking;
mod turns;

const MARK: &str = "the-mark-of-the-job";
const JOB: &[(&str, &str)] = &[("url", "http://127.0.0.1/"), ("body", MARK)];

fn in_stream(copies: usize) -> Copies {
    Copies { stream: copies, ..Copies::default() }
}

/// Where a job is when the script has done its work.
fn settled(script: Script) -> Copies {
    match script {
        Script::Postpone => Copies { waiting: 1, ..Copies::default() },
        Script::HandBack => in_stream(1),
        Script::DeadLetter | Script::DeadLetterEntry => Copies { dead: 1, ..Copies::default() },
        _ => Copies::default(),
    }
}

fn held_by(held: &RunningJob, consumer: &str, count: &str) -> RunningJob {
    RunningJob { consumer: consumer.to_owned(), count: count.to_owned(), ..held.clone() }
}

#[test]
fn a_settlement_moves_the_job_and_leaves_no_lease() {
    for script in Script::SETTLING {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        assert_eq!(stage.settle(script, &held, JOB), "o", "{script:?}");
        assert_eq!(stage.copies(MARK), settled(script), "{script:?}");
        assert_eq!(stage.pending(), [], "{script:?}");
        let result = stage.command(&["EXISTS", &key(&format!("result:{}", held.job_id))]).integer();
        assert_eq!(
            result,
            i64::from(
                [Script::CompleteWithResult, Script::DeadLetter, Script::DeadLetterEntry].contains(&script)
            ),
            "{script:?}"
        );
    }
}

#[test]
fn a_settlement_that_is_repeated_changes_nothing() {
    for script in Script::SETTLING {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        stage.settle(script, &held, JOB);
        let before = stage.snapshot();
        assert_eq!(stage.settle(script, &held, JOB), "g", "{script:?}");
        assert_eq!(stage.snapshot(), before, "{script:?}");
    }
}

#[test]
fn a_settlement_by_another_than_the_holder_is_refused() {
    for script in Script::SETTLING {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        let before = stage.snapshot();
        for stale in [held_by(&held, "b", "1"), held_by(&held, "a", "2"), held_by(&held, "a", "0")] {
            assert_eq!(stage.settle_held(script, &stale, JOB), "l", "{script:?} {stale:?}");
        }
        let gone = RunningJob { id: "1-1".to_owned(), ..held.clone() };
        assert_eq!(stage.settle_held(script, &gone, JOB), "g", "{script:?}");
        assert_eq!(stage.snapshot(), before, "{script:?}");
    }
}

#[test]
fn a_settlement_after_another_took_over_is_refused() {
    for script in Script::SETTLING {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        assert_eq!(stage.take_over("b", 0).len(), 1);
        let before = stage.snapshot();
        assert_eq!(stage.settle_held(script, &held, JOB), "l", "{script:?}");
        assert_eq!(stage.snapshot(), before, "{script:?}");
        assert_eq!(stage.settle_held(script, &held_by(&held, "b", "2"), JOB), "o", "{script:?}");
        assert_eq!(stage.copies(MARK), settled(script), "{script:?}");
    }
}

#[test]
fn a_success_is_final_under_a_lost_lease() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    assert_eq!(stage.take_over("b", 0).len(), 1);
    let other = held_by(&held, "b", "2");
    assert_eq!(stage.settle(Script::Complete, &held, JOB), "o");
    assert_eq!(stage.copies(MARK), Copies::default());
    assert_eq!(stage.pending(), []);
    let before = stage.snapshot();
    for script in Script::SETTLING {
        assert_eq!(stage.settle(script, &other, JOB), "g", "{script:?}");
    }
    assert_eq!(stage.snapshot(), before);
}

#[test]
fn a_success_that_another_worker_has_not_had_ends_no_job_that_it_has_moved() {
    for script in [Script::Postpone, Script::HandBack, Script::DeadLetter, Script::DeadLetterEntry] {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        assert_eq!(stage.take_over("b", 0).len(), 1);
        assert_eq!(stage.settle(script, &held_by(&held, "b", "2"), JOB), "o", "{script:?}");
        let before = stage.snapshot();
        assert_eq!(stage.settle(Script::Complete, &held, JOB), "g", "{script:?}");
        assert_eq!(stage.snapshot(), before, "{script:?}");
    }
}

#[test]
fn a_group_of_done_jobs_is_judged_one_by_one() {
    let stage = Stage::new();
    let [first, lost, last] = [0; 3].map(|_| stage.deliver("a", JOB));
    stage.command(&["XCLAIM", &key("jobs"), "postrider", "b", "0", &lost.id]);
    let mut call = Call::settle(Script::Complete, &first, &[]);
    for held in [&lost, &last] {
        call.args.push(held.id.clone().into_bytes());
    }
    let held = call.clone().still_held("1");
    assert_eq!(stage.call(&held), Reply::Bulk(b"olo".to_vec()));
    assert_eq!(stage.copies(MARK), in_stream(1));
    assert_eq!(stage.call(&held), Reply::Bulk(b"glg".to_vec()));
    assert_eq!(stage.copies(MARK), in_stream(1));
    assert_eq!(stage.call(&call), Reply::Bulk(b"gog".to_vec()));
    assert_eq!(stage.copies(MARK), in_stream(0));
    assert_eq!(stage.pending(), []);
}

#[test]
fn a_job_in_flight_between_jobs_that_are_done_stays_in_flight() {
    let stage = Stage::new();
    let held = [0; 5].map(|_| stage.deliver("a", JOB));
    let mut call = Call::settle(Script::Complete, &held[1], &[]);
    call.args.push(held[3].id.clone().into_bytes());
    assert_eq!(stage.call(&call), Reply::Bulk(b"oo".to_vec()));
    assert_eq!(stage.copies(MARK), in_stream(3));
    call.args.truncate(5);
    call.args.extend([&held[0], &held[1]].map(|held| held.id.clone().into_bytes()));
    assert_eq!(stage.call(&call), Reply::Bulk(b"og".to_vec()));
    let mut earlier = Call::settle(Script::Complete, &held[2], &[]).still_held("2");
    earlier.args.push(held[4].id.clone().into_bytes());
    assert_eq!(stage.call(&earlier), Reply::Bulk(b"ll".to_vec()));
    assert_eq!(stage.copies(MARK), in_stream(2));
}

#[test]
fn a_job_that_is_not_due_is_held_and_one_that_is_due_stays_in_flight() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    let mut call = Call::settle(Script::Postpone, &held, JOB);
    call.args[5] = b"delay".to_vec();
    let before = stage.snapshot();
    for _ in 0..2 {
        assert_eq!(stage.call(&call).array()[0].text(), "d");
        assert_eq!(stage.snapshot(), before);
    }
    call.args[6] = b"60000".to_vec();
    let reply = stage.call(&call);
    let [letter, due, now] = reply.array() else { panic!("{reply:?}") };
    assert_eq!(letter.text(), "o");
    assert!((50_000..=60_000).contains(&(due.integer() - now.integer())), "{reply:?}");
    assert_eq!(stage.copies(MARK), settled(Script::Postpone));
}

/// A producer can write any `_job_id` into the stream: two jobs may have the same.
#[test]
fn two_jobs_with_one_job_id_do_not_overwrite_each_other() {
    let stage = Stage::new();
    let jobs = ["first-of-two", "second-of-two"];
    for mark in jobs {
        let held = RunningJob { job_id: "same".to_owned(), ..stage.deliver("a", &[("body", mark)]) };
        stage.settle(Script::Postpone, &held, &[("body", mark)]);
    }
    for mark in jobs {
        assert_eq!(stage.copies(mark).found(), 1, "{mark}: {}", stage.snapshot());
    }
}
