//! Redis over its `maxmemory`: scripts that settle, promote or hand back still run, so that a full Redis drains.

use super::{Call, JOB, MARK, Reply, Script, Stage, held_by, in_stream, key, settled};

pub(super) fn fill(stage: &Stage) {
    stage.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    stage.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = stage.command(&["XADD", &key("jobs"), "*", "url", "x"]);
    assert!(matches!(&refused, Reply::Error(error) if error.starts_with("OOM")), "{refused:?}");
}

#[test]
fn a_full_redis_still_settles() {
    for script in Script::SETTLING {
        let stage = Stage::new();
        let held = stage.deliver("a", JOB);
        fill(&stage);
        assert_eq!(stage.settle(script, &held, JOB), "o", "{script:?}");
        assert_eq!(stage.copies(MARK), settled(script), "{script:?}");
        assert_eq!(stage.settle(script, &held, JOB), "g", "{script:?}");
    }
}

#[test]
fn a_full_redis_still_promotes_and_dead_letters_what_cannot_be_read() {
    let stage = Stage::new();
    stage.schedule("1", "good", Some(&stage.pack(&format!("{{'body','{MARK}'}}"))));
    stage.schedule("2", "bad", Some(b"not-msgpack"));
    fill(&stage);
    assert_eq!(stage.call(&Call::promote()).array()[..2], [Reply::Integer(1), Reply::Integer(0)]);
    assert_eq!(stage.copies(MARK), in_stream(1));
    assert_eq!(stage.copies("not-msgpack").dead, 1);
}

#[test]
fn a_full_redis_still_extends_and_takes_over() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    fill(&stage);
    assert_eq!(stage.take_over("b", 0).len(), 1);
    let taken = held_by(&held, "b", "2");
    assert_eq!(stage.call(&Call::extend(&taken)).array()[1].text(), "o");
}

#[test]
fn a_full_redis_lets_a_worker_leave() {
    let stage = Stage::new();
    stage.deliver("a", JOB);
    fill(&stage);
    assert_eq!(stage.leave("a"), (1, true));
    assert_eq!(stage.copies(MARK), in_stream(1));
}
