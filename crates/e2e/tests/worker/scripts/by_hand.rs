//! Scripts that producers and the tools call: enqueue, cancel, run-now, replay, each through the same accidents.

use e2e::scripts::FLOW;

use super::full::fill;
use super::{Call, Copies, JOB, MARK, Reply, Stage, in_stream, key};

/// A transition by hand: the call, and the job's place after it.
struct Move {
    name: &'static str,
    /// Puts the job into its initial state, and returns the call.
    prepare: fn(&Stage) -> Call,
    after: Copies,
    /// The key that it moves the job to.
    target: &'static str,
}

const DEAD: Copies = Copies { stream: 0, waiting: 0, dead: 1, stray: 0 };
const READY: Copies = Copies { stream: 1, waiting: 0, dead: 0, stray: 0 };

const MOVES: [Move; 7] = [
    Move {
        name: "cancel what is ready",
        prepare: |stage| Call::cancel_ready(&stage.enqueue(JOB)),
        after: DEAD,
        target: "dead",
    },
    Move {
        name: "cancel what is running",
        prepare: |stage| Call::cancel_ready(&stage.deliver("a", JOB).id),
        after: DEAD,
        target: "dead",
    },
    Move {
        name: "cancel what is scheduled",
        prepare: |stage| Call::cancel_scheduled(scheduled(stage)),
        after: DEAD,
        target: "dead",
    },
    Move {
        name: "cancel what is held",
        prepare: |stage| Call::cancel_held(&stage.hold(JOB)),
        after: DEAD,
        target: "dead",
    },
    Move {
        name: "run what is scheduled",
        prepare: |stage| Call::run_scheduled_now(scheduled(stage)),
        after: READY,
        target: "jobs",
    },
    Move {
        name: "run what is held",
        prepare: |stage| Call::run_held_now(&stage.hold(JOB)),
        after: READY,
        target: "jobs",
    },
    Move {
        name: "replay",
        prepare: |stage| Call::replay(&dead_lettered(stage)),
        after: READY,
        target: "jobs",
    },
];

fn scheduled(stage: &Stage) -> &'static str {
    let job = stage.pack(&format!("{{'url','http://127.0.0.1/','body','{MARK}'}}"));
    stage.schedule("32503680000000", "job_id", Some(&job));
    "job_id"
}

fn dead_lettered(stage: &Stage) -> String {
    let dead = key("dead");
    let command = ["XADD", &dead, "*", "url", "http://127.0.0.1/", "body", MARK, "_job_id", "1-1"];
    stage.command(&command).text()
}

fn is_error(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(_))
}

#[test]
fn a_move_by_hand_is_made_once_however_often_it_is_asked_for() {
    for Move { name, prepare, after, .. } in MOVES {
        let stage = Stage::new();
        let call = prepare(&stage);
        let reply = stage.call(&call);
        assert!(!is_error(&reply), "{name}: {reply:?}");
        assert_eq!((stage.copies(MARK), stage.pending()), (after, vec![]), "{name}");
        let before = stage.snapshot();
        assert_eq!(stage.call(&call).text(), "g", "{name}");
        assert_eq!(stage.snapshot(), before, "{name}");
        let flows = stage.command(&["EXISTS", &key("flows"), &key(&format!("flow:{FLOW}"))]).integer();
        assert_eq!(flows, 0, "{name}: nothing is left of the flow");
    }
}

#[test]
fn a_move_by_hand_without_a_right_is_made_once_in_the_end() {
    let mut wrong = Vec::new();
    for Move { name, prepare, after, .. } in MOVES {
        let commands = prepare(&Stage::new()).script.commands();
        assert!(commands.len() > 2, "{name}: {commands:?}");
        for command in commands {
            let stage = Stage::new();
            let call = prepare(&stage);
            for _ in 0..3 {
                stage.call_without(command, &call);
                assert!(stage.copies(MARK).found() >= 1, "{name} -{command}: {}", stage.snapshot());
            }
            stage.call(&call);
            if stage.copies(MARK) != after {
                wrong.push(format!("{name} -{command}: {:?}", stage.copies(MARK)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_key_of_a_wrong_type_keeps_a_move_by_hand_from_being_made() {
    for Move { name, prepare, after, target } in MOVES {
        let stage = Stage::new();
        let call = prepare(&stage);
        let backup = key("backup");
        // An existing value is kept: the scripts of waiting jobs find another type in its place.
        stage.command(&["RENAME", &key(target), &backup]);
        stage.command(&["SET", &key(target), "of another type"]);
        for _ in 0..3 {
            assert!(is_error(&stage.call(&call)), "{name}");
        }
        stage.command(&["DEL", &key(target)]);
        stage.command(&["RENAME", &backup, &key(target)]);
        assert_eq!(stage.copies(MARK).found(), 1, "{name}: {}", stage.snapshot());
        assert!(!is_error(&stage.call(&call)), "{name}");
        assert_eq!(stage.copies(MARK), after, "{name}");
    }
}

#[test]
fn a_full_redis_allows_each_move_by_hand() {
    for Move { name, prepare, after, .. } in MOVES {
        let stage = Stage::new();
        let call = prepare(&stage);
        fill(&stage);
        let reply = stage.call(&call);
        assert!(!is_error(&reply), "{name}: {reply:?}");
        assert_eq!(stage.copies(MARK), after, "{name}");
    }
}

#[test]
fn a_job_is_enqueued_once_for_a_key() {
    let stage = Stage::new();
    let call = Call::enqueue("order-7", 0, JOB);
    let first = stage.call(&call);
    assert_eq!(first.array()[0].text(), "o");
    let again = stage.call(&call);
    assert_eq!((again.array()[0].text(), &again.array()[1]), ("k".to_owned(), &first.array()[1]));
    assert_eq!(stage.copies(MARK), in_stream(1));
    let ttl = stage.command(&["PTTL", &key("key:order-7")]).integer();
    assert!((1..=60_000).contains(&ttl), "{ttl}");
}

#[test]
fn a_queue_takes_as_many_jobs_as_its_cap_ready_running_and_waiting() {
    let stage = Stage::new();
    stage.deliver("a", JOB);
    scheduled(&stage);
    let enqueue = |key: &str| stage.call(&Call::enqueue(key, 3, JOB)).array()[0].text();
    assert_eq!([enqueue("1"), enqueue("2"), enqueue("2")], ["o", "f", "f"]);
    stage.command(&["DEL", &key("waiting")]);
    assert_eq!([enqueue("2"), enqueue("1")], ["o", "k"], "a key that is known is no new job");
}

/// A refused producer repeats its call, and must not fill the queue with that.
#[test]
fn a_job_that_may_not_be_enqueued_is_not_in_the_queue() {
    let mut wrong = Vec::new();
    let call = Call::enqueue("order-7", 10, JOB);
    for command in call.script.commands() {
        let stage = Stage::new();
        for _ in 0..3 {
            let refused = is_error(&stage.call_without(command, &call));
            if !refused || stage.copies(MARK) != Copies::default() {
                wrong.push(format!("-{command}: refused {refused}, {:?}", stage.copies(MARK)));
            }
        }
        assert_eq!(stage.call(&call).array()[0].text(), "o", "-{command}: with the right, it is enqueued");
        assert_eq!(stage.copies(MARK), in_stream(1), "-{command}");
    }
    let stage = Stage::new();
    stage.command(&["LPUSH", &key("key:order-7"), "of another type"]);
    assert!(is_error(&stage.call(&call)));
    fill(&stage);
    assert!(is_error(&stage.call(&Call::enqueue("order-8", 0, JOB))), "a full Redis takes no new job");
    assert_eq!(stage.copies(MARK), Copies::default());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The entries of the stream.
fn entries(stage: &Stage) -> Vec<String> {
    let stream = stage.command(&["XRANGE", &key("jobs"), "-", "+"]);
    stream.array().iter().map(|entry| entry.array()[0].text()).collect()
}

#[test]
fn jobs_are_enqueued_together_or_not_at_all() {
    let stage = Stage::new();
    let good = Call::enqueue_all(&[("", JOB), ("", &[("url", "http://127.0.0.1/2")]), ("", JOB)]);
    let entered = stage.call(&good);
    let job_ids: Vec<String> = entered.array().chunks(2).map(|pair| pair[1].text()).collect();
    assert_eq!((job_ids.len(), &job_ids), (3, &entries(&stage)));
    assert_eq!(stage.copies(MARK).stream, 2);
    assert_eq!(stage.call(&Call::enqueue_all(&[])), Reply::Array(vec![]));
    let before = stage.snapshot();
    let many = vec![("a", "b"); 2049];
    for wrong in [&[][..], &many] {
        assert!(is_error(&stage.call(&Call::enqueue_all(&[("", JOB), ("", wrong)]))));
    }
    assert!(is_error(&stage.call_without("XADD", &good)));
    assert_eq!(stage.snapshot(), before);
    fill(&stage);
    assert!(is_error(&stage.call(&good)), "a full Redis takes no new job");
    assert_eq!(stage.copies(MARK).stream, 2);
}

#[test]
fn a_call_of_a_series_enqueues_all_its_jobs_or_none() {
    let stage = Stage::new();
    let good = Call::enqueue_in_series(None, &[JOB, &[("url", "http://127.0.0.1/2")], JOB]);
    let job_ids: Vec<String> = stage.call(&good).array().iter().map(Reply::text).collect();
    assert_eq!((job_ids.len(), &job_ids), (3, &entries(&stage)));
    assert_eq!(stage.call(&Call::enqueue_in_series(None, &[])), Reply::Array(vec![]));
    let before = stage.snapshot();
    let many = vec![("a", "b"); 2049];
    for wrong in [&[][..], &many] {
        assert!(is_error(&stage.call(&Call::enqueue_in_series(Some(0), &[JOB, wrong]))));
    }
    let first = Call::enqueue_in_series(Some(0), &[JOB]);
    for command in ["XADD", "SET"] {
        assert!(is_error(&stage.call_without(command, &first)), "-{command}");
        assert_eq!(stage.copies(MARK).stream, 2, "-{command}");
    }
    stage.command(&["DEL", &key("series:1")]);
    assert_eq!(stage.snapshot(), before);
    fill(&stage);
    assert!(is_error(&stage.call(&good)), "a full Redis takes no new job");
    assert_eq!(stage.copies(MARK).stream, 2);
}

#[test]
fn no_call_of_a_series_enqueues_behind_one_that_enqueued_nothing() {
    let stage = Stage::new();
    let call = |number| Call::enqueue_in_series(Some(number), &[JOB, JOB]);
    let is_behind = |reply: &Reply| matches!(reply, Reply::Error(text) if text.starts_with("BEHIND "));
    assert!(is_behind(&stage.call(&call(1))), "the first one is not enqueued");
    assert_eq!(stage.call(&call(0)).array().len(), 2);
    assert_eq!(stage.call(&call(1)).array().len(), 2);
    fill(&stage);
    assert!(is_error(&stage.call(&call(2))));
    stage.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(is_behind(&stage.call(&call(3))), "Redis is full no longer, and has refused the third one");
    assert!(is_behind(&stage.call(&call(1))), "a call that is repeated");
    assert!(is_error(&stage.call_without("XADD", &call(2))));
    assert!(is_behind(&stage.call(&call(3))), "a right was missing");
    assert_eq!(stage.copies(MARK), in_stream(4));
    assert_eq!(stage.call(&call(2)).array().len(), 2);
    assert_eq!(stage.call(&call(3)).array().len(), 2);
    let ttl = stage.command(&["PTTL", &key("series:1")]).integer();
    assert!((1..=60_000).contains(&ttl), "{ttl}");
    assert_eq!(stage.copies(MARK), in_stream(8));
}

#[test]
fn each_of_many_jobs_is_enqueued_once_for_its_key() {
    let stage = Stage::new();
    let call = Call::enqueue_all(&[("a", JOB), ("", JOB), ("b", JOB), ("a", JOB)]);
    let letters = |reply: &Reply| reply.array().chunks(2).map(|pair| pair[0].text()).collect::<String>();
    let ids = |reply: &Reply| reply.array().chunks(2).map(|pair| pair[1].text()).collect::<Vec<_>>();
    let first = stage.call(&call);
    assert_eq!((letters(&first).as_str(), stage.copies(MARK)), ("oook", in_stream(3)));
    let again = stage.call(&call);
    assert_eq!((letters(&again).as_str(), stage.copies(MARK)), ("kokk", in_stream(4)));
    let (first, again) = (ids(&first), ids(&again));
    assert_eq!([&first[0], &first[0], &first[2]], [&first[3], &again[0], &again[2]]);
    let ttl = stage.command(&["PTTL", &key("key:b")]).integer();
    assert!((1..=60_000).contains(&ttl), "{ttl}");
    stage.command(&["SET", &key("key:c"), "moved 1"]);
    let moved = stage.call(&Call::enqueue_all(&[("c", JOB), ("d", JOB)]));
    assert_eq!((letters(&moved).as_str(), stage.copies(MARK)), ("mo", in_stream(5)));
    // A job that may not be enqueued leaves no key that would count.
    for command in call.script.commands() {
        let stage = Stage::new();
        assert!(is_error(&stage.call_without(command, &call)), "-{command}");
        assert_eq!(stage.copies(MARK), Copies::default(), "-{command}");
        assert_eq!(letters(&stage.call(&call)), "oook", "-{command}");
    }
}
