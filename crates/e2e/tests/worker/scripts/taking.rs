//! Joining, leases, taking over, promoting, leaving.

use super::{Call, JOB, MARK, Reply, RunningJob, Stage, held_by, in_stream, key};
use e2e::wait::{DEADLINE, eventually};

#[test]
fn a_group_is_made_once_and_from_the_first_entry() {
    let stage = Stage::new();
    assert_eq!(stage.call(&Call::join()).array()[0], Reply::Integer(0));
    stage.enqueue(JOB);
    stage.command(&["XGROUP", "DESTROY", &key("jobs"), "postrider"]);
    assert_eq!(stage.call(&Call::join()).array()[0], Reply::Integer(1));
    assert_eq!(stage.read("a").len(), 1);
}

#[test]
fn a_lease_is_extended_for_its_holder_only() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    let letters = |held: &RunningJob| stage.call(&Call::extend(held)).array()[1].text();
    for (consumer, count, letter) in [("a", "1", "o"), ("b", "1", "l"), ("a", "2", "l")] {
        assert_eq!(letters(&held_by(&held, consumer, count)), letter, "{consumer} {count}");
    }
    let rows = stage.pending();
    assert_eq!((rows[0].array()[1].text(), rows[0].array()[3].integer()), ("a".to_owned(), 1));
    stage.take_over("b", 0);
    // It has written its lease when it extended: one second.
    eventually("the lease runs out", DEADLINE, || {
        stage.take_over("b", 0);
        (letters(&held_by(&held, "b", "2")) == "o").then_some(())
    });
    assert_eq!(letters(&held), "l");
}

#[test]
fn idle_time_is_compared_with_the_holders_own_lease() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    let mut long = Call::extend(&held);
    long.args[2] = br#"{"lease_ms":60000}"#.to_vec();
    stage.call(&long);
    stage.deliver("unknown", JOB);
    stage.command(&["HSET", &key("workers"), "garbage", "{", "list", "[]", "text", r#"{"lease_ms":"x"}"#]);
    let taken = stage.take_over("b", 0);
    assert_eq!(taken.len(), 1, "that of a worker that wrote no lease: {taken:?}");
    assert_ne!(taken[0].array()[0].text(), held.id);
    assert_eq!(stage.take_over("b", 60_000).len(), 0, "a job that is not idle is left alone");
    assert_eq!(stage.take_over("b", 0).len(), 1, "the caller may take its own expired job again");
}

#[test]
fn a_job_that_is_taken_over_counts_one_delivery_more() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    for (consumer, count) in [("b", 2), ("a", 3), ("b", 4)] {
        let taken = stage.take_over(consumer, 0);
        let entry = taken[0].array();
        assert_eq!((entry[0].text(), entry[1].integer()), (held.id.clone(), count));
        assert_eq!(entry[2].array()[3].text(), MARK);
    }
}

/// No worker has begun a job of a lost reply, unless a task of this worker panicked.
#[test]
fn a_job_that_comes_back_to_its_own_worker_counts_as_delivered_once() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    for (counts_own, count) in [("0", 1), ("0", 1), ("1", 2), ("0", 2)] {
        let mut call = Call::reclaim("a", 0);
        call.args[5] = counts_own.into();
        let taken = stage.call(&call);
        let entry = taken.array()[1].array()[0].array();
        assert_eq!((entry[0].text(), entry[1].integer()), (held.id.clone(), count));
        assert_eq!(stage.pending()[0].array()[3].integer(), count);
    }
}

#[test]
fn an_entry_whose_bytes_are_gone_is_taken_off_the_list() {
    let stage = Stage::new();
    let [gone, kept] = [0; 2].map(|_| stage.deliver("a", JOB));
    stage.command(&["XDEL", &key("jobs"), &gone.id]);
    let taken = stage.take_over("b", 0);
    assert_eq!((taken.len(), taken[0].array()[0].text()), (1, kept.id));
    assert_eq!(stage.pending().len(), 1);
}

#[test]
fn a_list_of_workers_of_a_wrong_type_stops_no_worker() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    stage.command(&["SET", &key("workers"), "of another type"]);
    assert_eq!(stage.call(&Call::extend(&held)).array()[1].text(), "o");
    assert_eq!(stage.take_over("b", 0).len(), 1);
}

#[test]
fn a_promote_that_is_repeated_moves_nothing_twice() {
    let stage = Stage::new();
    stage.schedule("1", "due", Some(&stage.pack(&format!("{{'body','{MARK}'}}"))));
    stage.schedule("32503680000000", "later", Some(&stage.pack("{'body','later'}")));
    for moved in [1, 0] {
        let reply = stage.call(&Call::promote());
        assert_eq!(reply.array()[..2], [Reply::Integer(moved), Reply::Integer(32_503_680_000_000)]);
        assert_eq!((stage.copies(MARK), stage.copies("later").waiting), (in_stream(1), 1));
    }
}

#[test]
fn a_worker_that_leaves_hands_back_and_is_off_the_list() {
    let stage = Stage::new();
    let held = stage.deliver("a", JOB);
    stage.call(&Call::extend(&held));
    for handed_back in [1, 0] {
        assert_eq!(stage.leave("a"), (handed_back, true));
        assert_eq!((stage.copies(MARK), stage.pending()), (in_stream(1), Vec::new()));
    }
    assert_eq!(stage.command(&["HEXISTS", &key("workers"), "a"]), Reply::Integer(0));
    assert_eq!(stage.read("b").len(), 1, "anyone reads it at once");
    let again = stage.command(&["XRANGE", &key("jobs"), "-", "+"]);
    let fields: Vec<String> = again.array()[0].array()[1].array().iter().map(Reply::text).collect();
    assert!(fields.windows(2).any(|pair| pair == ["_job_id", &held.id]), "it keeps its job id: {fields:?}");
}

/// A job keeps the time at which it was enqueued, or `delay_ms` would start again with each worker that leaves.
#[test]
fn a_worker_that_leaves_hands_back_the_time_as_well() {
    let stage = Stage::new();
    let held = stage.deliver("a", &[("url", "http://127.0.0.1/"), ("delay_ms", "60000"), ("body", MARK)]);
    stage.call(&Call::leave("a"));
    let again = stage.command(&["XRANGE", &key("jobs"), "-", "+"]);
    let fields: Vec<String> = again.array()[0].array()[1].array().iter().map(Reply::text).collect();
    let at = fields.iter().position(|field| field == "_enqueued_at").map(|at| fields[at + 1].clone());
    assert_eq!(at.as_deref(), held.id.split('-').next(), "{fields:?}");
}

/// A producer may write any field. What a script has marked, it keeps.
#[test]
fn a_worker_that_leaves_believes_only_what_is_marked() {
    let stage = Stage::new();
    let fields_of = |stage: &Stage| -> Vec<String> {
        let again = stage.command(&["XREVRANGE", &key("jobs"), "+", "-", "COUNT", "1"]);
        again.array()[0].array()[1].array().iter().map(Reply::text).collect()
    };
    let held =
        stage.deliver("a", &[("url", "x"), ("_job_id", "7-7"), ("_attempt", "50"), ("_mark", "made up")]);
    stage.leave("a");
    let first = fields_of(&stage);
    assert_eq!(first[..4], ["url", "x", "_job_id", &held.id]);
    assert_eq!(
        (first[4].as_str(), first[6].as_str(), first.len()),
        ("_enqueued_at", "_mark", 8),
        "{first:?}"
    );
    let again = stage.read("b");
    assert_eq!(again.len(), 1);
    stage.leave("b");
    assert_eq!(fields_of(&stage), first, "handed back again");
}

/// The script reads the list of workers before the jobs.
#[test]
fn a_worker_that_cannot_be_taken_off_the_list_stops_no_takeover() {
    let right = |stage: &Stage| stage.call_without("XGROUP", &Call::reclaim("b", 0));
    let full = |stage: &Stage| {
        super::full::fill(stage);
        stage.call(&Call::reclaim("b", 0))
    };
    for reclaim in [right as fn(&Stage) -> Reply, full] {
        let stage = Stage::new();
        stage.deliver("a", JOB);
        stage.command(&["XGROUP", "CREATECONSUMER", &key("jobs"), "postrider", "ghost"]);
        stage.command(&["HSET", &key("workers"), "ghost", r#"{"lease_ms":1000,"seen":1}"#]);
        let reply = reclaim(&stage);
        assert!(matches!(&reply, Reply::Array(parts) if parts[1].array().len() == 1), "{reply:?}");
        assert_eq!(stage.copies(MARK), in_stream(1));
    }
}

/// Without it, the others would compare its idle time with their own leases.
#[test]
fn a_worker_without_jobs_writes_its_lease_while_redis_is_full() {
    let stage = Stage::new();
    super::full::fill(&stage);
    let mut call = Call::extend(&RunningJob {
        id: String::new(),
        consumer: "a".to_owned(),
        count: String::new(),
        job_id: String::new(),
    });
    call.args.truncate(4);
    assert!(!matches!(stage.call(&call), Reply::Error(_)));
    let record = stage.command(&["HGET", &key("workers"), "a"]).text();
    assert!(record.contains(r#""lease_ms":1000"#), "{record}");
}

/// A script that moves hundreds of megabytes blocks Redis for all clients.
#[test]
fn a_promote_moves_about_as_much_as_fits_into_a_reply() {
    let stage = Stage::new();
    let large = stage.pack(&format!("{{'url','http://h/','body',('{MARK}'):rep(60000)}}"));
    for job_id in ["1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        stage.schedule("1", job_id, Some(&large));
    }
    // A bit more than a megabyte each.
    for (moved, waiting) in [(4, 5), (4, 1), (1, 0)] {
        assert_eq!(stage.call(&Call::promote()).array()[0].integer(), moved);
        assert_eq!(stage.command(&["ZCARD", &key("scheduled")]).integer(), waiting);
    }
    assert_eq!(stage.copies(MARK), in_stream(9));
}
