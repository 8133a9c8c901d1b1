//! Tests of the commands that show, replay and purge dead letters.

use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::wait::eventually;
use e2e::world::World;
use serde_json::{Value, json};

use super::{DEADLINE, NOWHERE, document, lines, run};

e2e::in_both_builds!(
    a_dead_letter_is_replayed_once_and_delivered,
    a_replay_starts_with_new_attempts,
    only_selected_dead_letters_are_replayed,
    only_selected_dead_letters_are_purged,
    old_dead_letters_are_trimmed,
);

fn a_dead_letter_is_replayed_once_and_delivered(build: Build) {
    let world = World::new(build);
    let (redis, queue, sink) = (&world.redis, world.queue(), &world.sink);
    let mut worker = world.worker(&[]);
    let url = sink.url("/flaky/1/x");
    let job_id = queue.enqueue(&[("url", url.as_str()), ("max_attempts", "1"), ("body", "hello")]);
    eventually("a dead letter", DEADLINE, || queue.dead().pop());
    let shown = run(build, redis, &["dead", "show", &job_id]).stdout;
    assert!(shown.contains("attempts") && shown.contains("ATTEMPT AT") && shown.contains("503"), "{shown}");
    let (code, answer) = document(build, redis, &["dead", "replay", &job_id]);
    assert_eq!((code, answer["replayed"][0]["replay_of"].as_str()), (0, Some(job_id.as_str())), "{answer}");
    let requests = sink.wait_for(2, DEADLINE);
    assert_eq!(requests[1].body, "hello");
    assert_eq!(requests[1].header("idempotency-key"), answer["replayed"][0]["job_id"].as_str());
    queue.wait_until_drained(DEADLINE);
    assert_eq!(run(build, redis, &["dead", "replay", &job_id]).code(), 1);
    assert_eq!((sink.requests().len(), queue.dead().len()), (2, 0));
    worker.stop();
}

fn a_replay_starts_with_new_attempts(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let entry = queue.dead_letter("7-0", "attempts", NOWHERE);
    let (code, answer) = document(build, &redis, &["dead", "replay", &entry, "--expires-in", "1h"]);
    assert_eq!(code, 0, "{answer}");
    let reply = redis.command(&["XRANGE", &queue.key("jobs"), "-", "+"]);
    let fields: Vec<_> = reply.array()[0].array()[1].array().chunks(2).map(|pair| pair[0].text()).collect();
    assert_eq!(fields, ["url", "body", "_history", "_replay_of", "_mark", "expires_at"]);
    // A replayed job that fails again still has the job id that it came from.
    let _worker = Postrider::ready_worker(build, &redis, &["--max-attempts", "1"], &[]);
    let dead = eventually("a dead letter", DEADLINE, || queue.dead().pop());
    assert_eq!((dead.field("_replay_of"), dead.reason()), (Some("7-0".into()), "attempts".into()));
    let history: Value = serde_json::from_str(&dead.field("_history").expect("a history")).expect("JSON");
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
}

fn only_selected_dead_letters_are_replayed(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    for (job_id, reason) in [("1-0", "attempts"), ("2-0", "expired"), ("3-0", "attempts")] {
        queue.dead_letter(job_id, reason, &format!("http://127.0.0.1:9/{job_id}"));
    }
    let left = || (queue.depth(), queue.dead().len());
    assert_eq!(
        (run(build, &redis, &["dead", "replay", "--all"]).code(), left()),
        (2, (0, 3)),
        "nobody can be asked"
    );
    assert_eq!((run(build, &redis, &["dead", "replay"]).code(), left()), (2, (0, 3)));
    assert_eq!((run(build, &redis, &["dead", "replay", "--all", "--dry-run"]).code(), left()), (0, (0, 3)));
    let listed = lines(build, &redis, &["dead", "list", "--url-contains", "/3-0", "--since", "1h"]);
    assert_eq!(listed.iter().map(|letter| letter["job_id"].clone()).collect::<Vec<_>>(), ["3-0"]);
    let arguments = ["dead", "replay", "--all", "--reason", "attempts", "--yes", "--rate", "100/s"];
    let (code, answer) = document(build, &redis, &arguments);
    assert_eq!((code, left()), (0, (2, 1)), "{answer}");
    assert_eq!(document(build, &redis, &arguments), (0, json!({"replayed": [], "failed": []})));
    assert_eq!((queue.dead()[0].reason(), left()), ("expired".to_owned(), (2, 1)));
}

fn only_selected_dead_letters_are_purged(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    redis.command(&["XADD", &queue.key("dead"), "1795396101000-0", "url", NOWHERE, "_reason", "expired"]);
    for reason in ["attempts", "expired"] {
        queue.dead_letter("2-0", reason, NOWHERE);
    }
    let purge = |arguments: &[&str]| {
        let output = run(build, &redis, &[&["dead", "purge"], arguments].concat());
        (output.code(), queue.dead().len())
    };
    assert_eq!(purge(&[]), (2, 3));
    assert_eq!(purge(&["--all"]), (2, 3), "without a terminal it needs --yes");
    assert_eq!(purge(&["--reason", "attempts", "--yes"]), (0, 2));
    assert_eq!(purge(&["--older-than", "10s", "--yes"]), (0, 1));
    assert_eq!(purge(&["--older-than", "10s", "--yes"]), (0, 1));
    assert_eq!(purge(&["--all", "--yes"]), (0, 0));
}

fn old_dead_letters_are_trimmed(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    const OLD: &str = "for i = 1, 1000 do redis.call('XADD', KEYS[1], '1600000000000-' .. i, 'url', 'x') end";
    redis.command(&["EVAL", OLD, "1", &queue.key("rejected")]);
    queue.enqueue(&[("body", "no url")]);
    let _worker = Postrider::ready_worker(build, &redis, &[], &[]);
    let dead = || queue.dead().iter().filter(|letter| letter.reason() == "malformed").count();
    eventually("a dead letter", DEADLINE, || (dead() == 1).then_some(()));
    assert!(queue.dead().len() <= 101, "{} are left: whole blocks of them must be gone", queue.dead().len());
}

/// `list`, `summary`, `replay` and `purge` take the same ids and conditions.
#[test]
fn each_command_selects_dead_letters_in_the_same_way() {
    let build = Build::Lean;
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    queue.dead_letter("1-0", "attempts", "http://a.test/x");
    queue.dead_letter("2-0", "attempts", "http://a.test:81/x");
    let entry = queue.dead_letter("3-0", "final_status", "http://b.test/x");
    let selections: [(&[&str], &[&str]); 8] = [
        (&["1-0"], &["1-0"]),
        (&[&entry], &["3-0"]),
        (&["--host", "A.test"], &["1-0", "2-0"]),
        (&["--host", "a.test:81"], &["2-0"]),
        (&["--status", "5xx", "--reason", "final_status"], &["3-0"]),
        (&["--status", "404"], &[]),
        (&["--since", "1h", "--host", "b.test"], &["3-0"]),
        (&["--older-than", "1h"], &[]),
    ];
    for (selection, expected) in selections {
        let listed = lines(build, &redis, &[&["dead", "list"], selection].concat());
        let mut ids: Vec<_> =
            listed.iter().map(|letter| letter["job_id"].as_str().unwrap_or_default()).collect();
        ids.sort_unstable();
        assert_eq!(ids, expected, "{selection:?}");
        let counts = lines(build, &redis, &[&["dead", "summary"], selection].concat());
        let count: u64 = counts.iter().filter_map(|group| group["count"].as_u64()).sum();
        assert_eq!(count as usize, expected.len(), "{selection:?}");
        for (command, word) in [("replay", "replayed"), ("purge", "deleted")] {
            let output = run(build, &redis, &[&["dead", command, "--dry-run"], selection].concat());
            let plural = if expected.len() == 1 { "" } else { "s" };
            let count = format!("{} dead letter{plural}", expected.len());
            assert!(output.stdout.starts_with(&count) && output.stdout.contains(word), "{output:?}");
        }
    }
    let groups = lines(build, &redis, &["dead", "summary"]);
    let group = groups.iter().find(|group| group["host"] == "a.test:81").expect("a group");
    assert_eq!(
        (&group["reason"], &group["status"], &group["error"]),
        (&json!("attempts"), &json!(503), &json!("it failed"))
    );
    let (code, answer) = document(build, &redis, &["dead", "purge", "1-0", "9-0", "--yes"]);
    assert_eq!((code, &answer["purged"], queue.dead().len()), (1, &json!(1), 2));
}
