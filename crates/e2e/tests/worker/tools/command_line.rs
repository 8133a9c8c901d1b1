//! Tests of the command line's arguments and of the names of dead letters.

use e2e::process::{Build, Postrider, Signal};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::eventually;
use serde_json::json;

use super::{DEADLINE, NOWHERE, document, run};

e2e::in_both_builds!(
    an_interrupted_wait_reports_that_the_job_continues,
    an_empty_variable_counts_as_unset,
    a_misspelt_reason_is_refused,
    a_dead_letter_is_found_by_its_label,
);

fn an_interrupted_wait_reports_that_the_job_continues(build: Build) {
    let redis = RedisServer::start();
    let arguments = ["send", "--redis-url", &redis.url(), "POST", NOWHERE, "--wait"];
    let (mut send, _stdin) = Postrider::reading(build, &arguments, &[]);
    let queue = Queue::new(&redis, "default");
    eventually("the job is enqueued", DEADLINE, || (queue.depth() == 1).then_some(()));
    send.signal(Signal::SIGINT);
    assert_eq!(send.wait_exit(DEADLINE).code(), Some(3), "{}", send.log().join("\n"));
    assert_eq!(queue.depth(), 1);
}

fn an_empty_variable_counts_as_unset(build: Build) {
    let redis = RedisServer::start();
    let empty =
        ["QUEUE", "CONFIG", "CONCURRENCY", "LEASE", "TIMEOUT", "RETRY_CAP", "STRICT_ORDER", "LOG_FORMAT"];
    let names = empty.map(|name| format!("POSTRIDER_{name}"));
    let variables: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let mut worker = Postrider::ready_worker(build, &redis, &[], &variables);
    assert!(worker.log().iter().any(|line| line.contains("default")), "{}", worker.log().join("\n"));
    assert_eq!(worker.stop().code(), Some(0));
}

fn a_misspelt_reason_is_refused(build: Build) {
    let redis = RedisServer::start();
    for command in [&["dead", "list"][..], &["dead", "replay", "--yes"], &["dead", "purge", "--yes"]] {
        let output = run(build, &redis, &[command, &["--reason", "expire"]].concat());
        assert_eq!(output.code(), 2, "{output:?}");
        assert!(output.stderr.contains("final_status") && output.stderr.contains("expired"), "{output:?}");
    }
}

fn a_dead_letter_is_found_by_its_label(build: Build) {
    let redis = RedisServer::start();
    let queue = Queue::new(&redis, "default");
    let _worker = Postrider::ready_worker(build, &redis, &["--max-attempts", "1"], &[]);
    let job_ids =
        ["order-17", "order-18", "order-17"].map(|id| queue.enqueue(&[("url", NOWHERE), ("label", id)]));
    eventually("three dead letters", DEADLINE, || (queue.dead().len() == 3).then_some(()));
    let (code, answer) = document(build, &redis, &["dead", "show", "order-17"]);
    let mut found: Vec<_> = answer["dead"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|letter| letter["job_id"].as_str())
        .collect();
    found.sort_unstable();
    assert_eq!((code, found), (0, vec![job_ids[0].as_str(), job_ids[2].as_str()]));
    let listed = run(build, &redis, &["dead", "list", "--label", "order-18", "--json"]).json();
    assert_eq!(listed["job_id"], json!(job_ids[1]), "and no other");
    // Several jobs may have a label: to act on them, `replay` needs --label.
    assert_eq!(run(build, &redis, &["dead", "replay", "order-17"]).code(), 1);
    let (code, answer) = document(build, &redis, &["dead", "replay", "--label", "order-17", "--yes"]);
    assert_eq!((code, answer["replayed"].as_array().map(Vec::len)), (0, Some(2)), "{answer}");
}

/// Telemetry changes neither.
#[test]
fn the_address_of_redis_may_be_in_a_file_and_a_path_that_is_a_secret_is_hidden() {
    let redis = RedisServer::start();
    let (url, url_file) = (redis.url(), TextFile::new(&format!("{}\n", redis.url())));
    let run = |arguments: &[&str]| Postrider::run(Build::Lean, arguments, &[], DEADLINE);
    for url in ["https://hooks.slack.com/services/T0/B0/hunter2", "https://in.house.test/hunter2"] {
        let redis = ["--redis-url-file", url_file.path()];
        let wait = ["--in", "1h", "--wait", "--wait-timeout", "10ms", "POST", url];
        let output = run(&[&["send"], &redis[..], &wait].concat());
        assert!(
            output.code() == 3 && output.stdout.contains("ready"),
            "the state is in the same Redis: {output:?}"
        );
    }
    let _worker = Postrider::ready_worker(Build::Lean, &redis, &[], &[]);
    let list = ["jobs", "list", "--redis-url-file", url_file.path(), "--json"];
    let secret = ["--secret-paths", "*.house.test"];
    let listed = eventually("both are listed", DEADLINE, || {
        let output = run(&[&list[..], &secret].concat());
        (output.stdout.lines().count() >= 2).then_some(output.stdout)
    });
    assert!(
        listed.contains("https://hooks.slack.com/…") && listed.contains("https://in.house.test/…"),
        "{listed}"
    );
    assert!(!listed.contains("hunter2"), "{listed}");
    assert!(
        run(&list).stdout.contains("in.house.test/hunter2"),
        "only the known hosts are hidden by default"
    );
    for (arguments, part) in [
        (&["--redis-url", url.as_str(), "--redis-url-file", url_file.path()][..], "cannot be used with"),
        (&["--redis-url-file", "/nowhere/hunter"], "cannot be read"),
        (&["--redis-url-file", "/"], "not a regular file"),
        (&["--secret-paths", "http://a.test"], "is no host"),
    ] {
        let output = run(&[&["queues"], arguments].concat());
        assert_eq!(output.code(), 2, "{output:?}");
        assert!(output.stderr.contains(part), "{output:?}");
    }
}
