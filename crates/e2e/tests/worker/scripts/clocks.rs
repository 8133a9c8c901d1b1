//! Redis' clock jumps: ahead, when a machine wakes up or somebody sets it, or back.

use super::{Call, JOB, MARK, Reply, Stage, in_stream, key};
use e2e::wait::{DEADLINE, eventually};

/// A stream as Redis 6.2 dumped it in the year 2035: one entry, delivered to `a` and pending.
const OF_2035: &[u8] = b"\x0f\x01\x10\x00\x00\x01\xdd\x96a\xf0\x06\x00\x00\x00\x00\x00\x00\x00\x00@JJ\x00\x00\x00\x0c\
    \x00\x01\x01\x00\x01\x02\x01\x83url\x04\x84body\x05\x00\x01\x02\x01\x00\x01\x00\x01\x91http://127.0.0.1/\x12\x93\
    the-mark-of-the-job\x14\x05\x01\xff\x01\x81\x00\x00\x01\xdd\x96a\xf0\x06\x00\x01\tpostrider\x81\x00\x00\x01\xdd\
    \x96a\xf0\x06\x00\x01\x00\x00\x01\xdd\x96a\xf0\x06\x00\x00\x00\x00\x00\x00\x00\x00\x13\xf0a\x96\xdd\x01\x00\x00\
    \x01\x01\x01a\x13\xf0a\x96\xdd\x01\x00\x00\x01\x00\x00\x01\xdd\x96a\xf0\x06\x00\x00\x00\x00\x00\x00\x00\x00\t\
    \x00\x8d#\x10\xe6\x90HO\x1e";
const IN_2035: &str = "2051222401030";

/// The number of jobs that `b` takes over with a lease of a second if it expects this time of Redis, and Redis' time.
fn reclaim(stage: &Stage, expected: i64) -> (usize, i64) {
    let mut call = Call::reclaim("b", 1000);
    (call.args[6], call.args[7]) = (expected.to_string().into(), b"500".to_vec());
    let reply = stage.call(&call);
    (reply.array()[1].array().len(), reply.array()[2].integer())
}

#[test]
fn a_worker_that_expects_another_time_takes_nothing_over() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    let idle = ["XCLAIM", &key("jobs"), "postrider", "a", "0", &held.id, "IDLE", "60000", "JUSTID"];
    stage.command(&idle);
    for off in [3_600_000, -3_600_000] {
        let (taken, now) = reclaim(&stage, stage.now() - off);
        assert_eq!(taken, 0, "{off}");
        assert!((stage.now() - now).abs() < 5_000, "the reply contains the time");
    }
    let pending = stage.pending();
    assert_eq!((pending[0].array()[1].text(), pending[0].array()[3].integer()), ("a".to_owned(), 1));
    assert_eq!(reclaim(&stage, stage.now()).0, 1);
}

/// By its clock of today, the server would not find the job idle before 2035.
#[test]
fn a_job_that_was_delivered_in_the_future_is_taken_over_after_a_lease() {
    let stage = Stage::new();
    stage.command(&["DEL", &key("jobs")]);
    let restored = stage.command(&[b"RESTORE", key("jobs").as_bytes(), b"0", OF_2035]);
    assert_eq!(restored, Reply::Simple("OK".to_owned()));
    let workers = key("workers");
    let record = format!(r#"{{"lease_ms":1000,"seen":{IN_2035},"version":"0.1.0"}}"#);
    stage.command(&["HSET", &workers, "a", &record]);
    assert_eq!(reclaim(&stage, stage.now()).0, 0, "its lease begins now");
    let seen = stage.command(&["HGET", &workers, "a"]).text();
    assert!(seen.contains(r#""version":"0.1.0""#) && !seen.contains(IN_2035), "{seen}");
    eventually("the lease is over", DEADLINE, || (reclaim(&stage, stage.now()).0 == 1).then_some(()));
    let pending = stage.pending();
    assert_eq!((pending[0].array()[1].text(), pending[0].array()[3].integer()), ("b".to_owned(), 2));
    assert_eq!(stage.copies(MARK), in_stream(1));
}
