//! Jobs that no loop would find: orphans among the waiting jobs, and entries that are pending for no consumer.

use super::full::fill;
use super::held::HELD;
use super::{Call, JOB, MARK, Reply, Script, Stage, in_stream, key};
use e2e::scripts::FLOW;

/// Sweeps all waiting jobs, which are in [`FLOW`] if they name a flow. Returns the numbers of jobs that are due now,
/// and of flows that are listed again.
fn sweep(stage: &Stage) -> (i64, i64) {
    let (mut cursor, mut found) = ("0".to_owned(), (0, 0));
    loop {
        let reply = stage.call(&Call::sweep(&cursor));
        let Reply::Array(parts) = &reply else { panic!("{reply:?}") };
        let job_ids: Vec<String> = parts[1].array().iter().map(|row| row.array()[0].text()).collect();
        let requeued = stage.call(&Call::requeue(&job_ids));
        let Reply::Array(counts) = &requeued else { panic!("{requeued:?}") };
        found.0 += parts[3].integer() + counts[0].integer();
        found.1 += counts[1].integer();
        cursor = parts[0].text();
        if cursor == "0" {
            return found;
        }
    }
}

fn packed(stage: &Stage) -> Vec<u8> {
    stage.pack(&format!("{{'body','{MARK}'}}"))
}

#[test]
fn jobs_in_no_set_are_due_now() {
    let stage = Stage::new();
    stage.schedule("32503680000000", "later", Some(&stage.pack("{'body','later'}")));
    stage.command(&[b"HSET", key("waiting").as_bytes(), b"stray", &packed(&stage)]);
    stage.command(&[b"HSET", key("waiting").as_bytes(), b"unreadable", b"not-msgpack"]);
    assert_eq!(stage.copies(MARK).stray, 1);
    assert_eq!(sweep(&stage), (2, 0));
    assert_eq!(sweep(&stage), (0, 0), "once");
    stage.call(&Call::promote());
    assert_eq!((stage.copies(MARK), stage.copies("later").waiting), (in_stream(1), 1));
    assert_eq!(stage.copies("not-msgpack").dead, 1);
}

#[test]
fn a_job_whose_time_never_comes_is_due_now() {
    for score in ["+inf", "1e300"] {
        let stage = Stage::new();
        stage.schedule("32503680000000", "later", Some(&stage.pack("{'body','later'}")));
        stage.schedule(score, "never", Some(&packed(&stage)));
        assert_eq!((sweep(&stage), sweep(&stage)), ((1, 0), (0, 0)), "{score}");
        stage.call(&Call::promote());
        assert_eq!((stage.copies(MARK), stage.copies("later").waiting), (in_stream(1), 1), "{score}");
    }
}

#[test]
fn a_flow_that_holds_jobs_and_is_not_listed_is_listed_again() {
    let stage = Stage::new();
    stage.hold(JOB);
    stage.hold(&[("url", "http://127.0.0.1/"), ("body", "the-second")]);
    stage.command(&["DEL", &key("flows")]);
    assert_eq!(stage.copies(MARK).stray, 1);
    assert_eq!((sweep(&stage), sweep(&stage)), ((0, 1), (0, 0)));
    assert_eq!((stage.copies(MARK), stage.copies("the-second")), (HELD, HELD));
    let reply = stage.call(&Call::promote());
    assert_eq!(reply.array()[5].array()[0].text(), FLOW, "its check is due");
}

#[test]
fn a_job_whose_flow_lost_its_set_is_due_now() {
    let stage = Stage::new();
    stage.hold(JOB);
    stage.command(&["DEL", &key(&format!("flow:{FLOW}"))]);
    assert_eq!((sweep(&stage), sweep(&stage)), ((1, 0), (0, 0)));
    stage.call(&Call::promote());
    assert_eq!(stage.copies(MARK), in_stream(1));
}

/// A call touches as many keys as it reads jobs, however many jobs wait and flows hold them.
#[test]
fn a_sweep_of_many_flows_finds_every_orphan_and_each_call_is_short() {
    const FILL: &str = "for i = 1, 3000 do \
        redis.call('HSET', KEYS[1], i, cmsgpack.pack({'url', 'http://h/', 'flow', 'f' .. i % 1500})) \
        redis.call('ZADD', KEYS[2] .. redis.sha1hex('f' .. i % 1500):sub(1, 16), i, i) end";
    let stage = Stage::new();
    let (waiting, sets) = (key("waiting"), key("flow:"));
    stage.command(&["EVAL", FILL, "2", &waiting, &sets]);
    let flow_of = |job: &str| {
        let flow = format!("f{}", job.parse::<u32>().expect("a number") % 1500);
        stage.command(&["EVAL", "return redis.sha1hex(ARGV[1]):sub(1, 16)", "0", &flow]).text()
    };
    stage.command(&["ZREM", &format!("{sets}{}", flow_of("77")), "77"]);
    let (mut cursor, mut seen, mut found) = ("0".to_owned(), 0, (0, 0));
    loop {
        stage.command(&["CONFIG", "RESETSTAT"]);
        let reply = stage.call(&Call::sweep(&cursor));
        let rows = reply.array()[1].array();
        let job_ids: Vec<String> = rows.iter().map(|row| row.array()[0].text()).collect();
        let mut requeue = Call::requeue(&[]);
        for (number, job_id) in (1..).zip(&job_ids) {
            requeue.keys.truncate(if number == 1 { 3 } else { requeue.keys.len() });
            requeue.keys.push(format!("{sets}{}", flow_of(job_id)));
            requeue.args.extend([job_id.clone().into_bytes(), number.to_string().into_bytes()]);
        }
        let counts = stage.call(&requeue);
        found = (found.0 + counts.array()[0].integer(), found.1 + counts.array()[1].integer());
        let stats = stage.command(&["INFO", "commandstats"]).text();
        let calls =
            stats.lines().find_map(|line| line.strip_prefix("cmdstat_zscore:calls=")?.split(',').next());
        let calls: usize = calls.map_or(0, |calls| calls.parse().expect("a number"));
        assert!(
            job_ids.len() <= 200 && calls <= 3 * job_ids.len(),
            "{calls} calls for {} jobs",
            job_ids.len()
        );
        seen += job_ids.len();
        cursor = reply.array()[0].text();
        if cursor == "0" {
            break;
        }
    }
    assert!(seen >= 3000, "{seen}");
    assert_eq!(found, (1, 1500), "the orphan, and every flow");
}

#[test]
fn a_full_redis_is_swept_and_a_missing_right_loses_no_job() {
    for command in [Script::Sweep.commands(), Script::Requeue.commands()].concat() {
        let stage = Stage::new();
        stage.hold(JOB);
        stage.command(&["DEL", &key("flows")]);
        fill(&stage);
        stage.call_without(command, &Call::sweep("0"));
        stage.call_without(command, &Call::requeue(&[]));
        assert_eq!(sweep(&stage), (0, 1), "-{command}");
        assert_eq!(stage.copies(MARK), HELD, "-{command}");
    }
}

#[test]
fn with_a_key_of_a_wrong_type_nothing_is_requeued() {
    for target in ["waiting", "scheduled"] {
        let stage = Stage::new();
        let job_id = stage.hold(JOB);
        stage.command(&["RENAME", &key(target), "aside"]);
        stage.command(&["SET", &key(target), "of another type"]);
        for call in [Call::sweep("0"), Call::requeue(&[job_id])] {
            assert!(matches!(stage.call(&call), Reply::Error(_)), "{target}");
        }
        stage.command(&["DEL", &key(target)]);
        stage.command(&["RENAME", "aside", &key(target)]);
        assert_eq!(stage.copies(MARK), HELD, "{target}");
    }
}

/// Claims all lost entries, and returns their number.
fn claim_lost(stage: &Stage) -> i64 {
    let (mut after, mut claimed) = ("-".to_owned(), 0);
    loop {
        let reply = stage.call(&Call::claim_lost("b", &after));
        let Reply::Array(parts) = &reply else { panic!("{reply:?}") };
        claimed += parts[1].integer();
        after = parts[0].text();
        if after.is_empty() {
            return claimed;
        }
    }
}

#[test]
fn entries_of_a_deleted_consumer_are_claimed_and_taken_over() {
    let stage = Stage::new();
    stage.deliver("killed", JOB);
    let other = stage.deliver("a", &[("body", "of another")]);
    stage.command(&["XGROUP", "DELCONSUMER", &key("jobs"), "postrider", "killed"]);
    stage.enqueue(&[("body", "ready")]);
    assert_eq!(stage.copies(MARK).stray, 1);
    assert_eq!((claim_lost(&stage), claim_lost(&stage)), (1, 0));
    assert_eq!(stage.copies(MARK), in_stream(1));
    let own: Vec<_> = stage.pending().iter().map(|row| row.array()[1].text()).collect();
    assert_eq!(own, ["b", &other.consumer], "no job of another");
    let taken = stage.take_over("b", 1000);
    let entry = taken[0].array();
    assert_eq!((taken.len(), entry[1].integer()), (1, 1), "at once, and it is no further delivery");
    assert_eq!(stage.read("c").len(), 1, "the ready one is still ready");
}

#[test]
fn entries_acknowledged_by_hand_or_before_the_group_are_claimed_page_by_page() {
    let stage = Stage::new();
    let group = ["XGROUP", "DESTROY", &key("jobs"), "postrider"];
    for _ in 0..130 {
        stage.enqueue(&[("body", "before the group")]);
    }
    stage.command(&group);
    assert_eq!(claim_lost(&stage), 0, "without a group, nothing is lost");
    stage.command(&["XGROUP", "CREATE", &key("jobs"), "postrider", "$"]);
    for number in 0..250 {
        let held = stage.deliver("a", JOB);
        if number % 50 == 0 {
            stage.command(&["XACK", &key("jobs"), "postrider", &held.id]);
        }
    }
    assert_eq!((stage.copies(MARK).stray, stage.copies("before the group").stray), (5, 130));
    assert_eq!((claim_lost(&stage), claim_lost(&stage)), (135, 0));
    assert_eq!((stage.copies(MARK), stage.copies("before the group")), (in_stream(250), in_stream(130)));
    stage.command(&["DEL", &key("jobs")]);
    assert_eq!(claim_lost(&stage), 0);
}

#[test]
fn large_lost_entries_are_claimed_one_by_one() {
    let stage = Stage::new();
    let large = "x".repeat(2 << 20);
    for _ in 0..3 {
        let held = stage.deliver("a", &[("body", &large)]);
        stage.command(&["XACK", &key("jobs"), "postrider", &held.id]);
    }
    let mut after = "-".to_owned();
    for claimed in [1, 1, 1, 0] {
        let reply = stage.call(&Call::claim_lost("b", &after));
        assert_eq!(reply.array()[1].integer(), claimed);
        after = reply.array()[0].text();
    }
    assert_eq!(after, "");
}
