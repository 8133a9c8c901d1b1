//! What older versions left in Redis, and what producers wrote for them, is delivered, shown and replayed by this one. The files in
//! `recorded` are never changed: a version whose format differs adds its own.

use std::path::{Path, PathBuf};

use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually_or};
use serde_json::Value;

/// The destinations of the recorded jobs are reached through a proxy, which is the sink.
const CONFIG: &str = "[retry.years]\nbase = \"20ms\"\n[retry.default]\nbase = \"20ms\"\ncap = \"20ms\"\n[egress]\ndeny = [\"10.0.0.0/8\"]\n\
                      [secrets.acme]\nkeys = [{ env = \"ACME_KEY\" }]\nallow_http = true\n";

fn versions() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded");
    let entries = folder.read_dir().expect("the folder of records");
    let versions: Vec<_> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    assert!(!versions.is_empty());
    versions
}

fn run(redis: &RedisServer, arguments: &[&str]) -> Output {
    Postrider::run(Build::Lean, arguments, &[("POSTRIDER_REDIS_URL", &redis.url())], DEADLINE)
}

fn worker(redis: &RedisServer, sink: &Sink, queues: &str) -> Postrider {
    let (proxy, file) = (sink.url(""), TextFile::new(CONFIG));
    let arguments = ["--queue", queues, "--config", file.path(), "--http-proxy", &proxy, "--lease", "2s"];
    Postrider::ready_worker(
        Build::Lean,
        redis,
        &arguments,
        &[("ACME_KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
    )
}

/// The lines of a list, by label.
fn listed(redis: &RedisServer, arguments: &[&str], member: &str) -> Vec<(String, String)> {
    let output = run(redis, &[arguments, &["--json"]].concat());
    assert_eq!(output.code(), 0, "{output:?}");
    let rows = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut rows: Vec<_> = rows.map(|row| (text(&row, "label"), text(&row, member))).collect();
    rows.sort();
    rows
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(label, word)| ((*label).to_owned(), (*word).to_owned())).collect()
}

#[test]
fn what_an_older_version_left_is_shown_delivered_and_replayed() {
    for version in versions() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::copy(version.join("dump.rdb"), folder.path().join("dump.rdb"))
            .expect("the record is copied");
        let redis = RedisServer::start_with(&["--dir", folder.path().to_str().expect("a path")]);
        it_is_shown(&redis);
        it_is_delivered(&redis);
    }
}

fn it_is_shown(redis: &RedisServer) {
    let live = [
        ("", "ready"),
        ("delayed", "scheduled"),
        ("held", "held"),
        ("paused", "ready"),
        ("ready", "ready"),
        ("replayed", "ready"),
        ("retry-later", "scheduled"),
        ("running", "running"),
    ];
    assert_eq!(listed(redis, &["jobs", "list"], "state"), pairs(&live));
    let dead = [("cancelled", "cancelled"), ("dead-404", "final_status"), ("dead-503", "attempts")];
    assert_eq!(listed(redis, &["dead", "list"], "reason"), pairs(&dead));
    let found = run(redis, &["find", "delivered", "--json"]).json();
    assert_eq!(
        (&found["results"][0]["result"]["body"], &found["log"][0]["outcome"]),
        (&"ok".into(), &"succeeded".into())
    );
    assert_eq!(found["log"][0]["history"][0]["status"], 200);
    let letter = run(redis, &["dead", "show", "dead-503", "--json"]).json();
    assert_eq!(letter["dead"][0]["history"].as_array().map(Vec::len), Some(2), "{letter}");
    let audit = run(redis, &["audit", "--json"]).stdout;
    assert_eq!(audit.lines().count(), 4, "{audit}");
    assert!(run(redis, &["flows"]).stdout.contains("partner"));
    assert!(run(redis, &["queues"]).stdout.contains("quiet: paused"));
    let doctor = run(redis, &["doctor"]);
    assert_eq!(doctor.code(), 0, "{doctor:?}");
    // The idempotency key is known.
    let job = found["results"][0]["job_id"].as_str().expect("a job id");
    let again = run(redis, &["send", "--queue", "mail", "--key", "order-1", "http://hooks.test/orders/1"]);
    assert_eq!(again.stdout.trim(), job);
}

/// Lets everything go that waits for somebody.
fn release(redis: &RedisServer) {
    for change in [
        &["flows", "resume", "partner"][..],
        &["queues", "resume", "quiet"],
        &["jobs", "run-now", "delayed"],
        &["jobs", "run-now", "retry-later"],
        &["dead", "replay", "--all", "--yes"],
    ] {
        let output = run(redis, change);
        assert_eq!(output.code(), 0, "{change:?}: {output:?}");
    }
    // The job whose worker was killed has a path that the sink does not answer.
    assert_eq!(run(redis, &["jobs", "cancel", "running"]).code(), 0);
}

fn it_is_delivered(redis: &RedisServer) {
    let sink = Sink::start();
    release(redis);
    let mut worker = worker(redis, &sink, "mail,quiet");
    let labels = [
        "cancelled",
        "dead-404",
        "dead-503",
        "delayed",
        "held",
        "paused",
        "ready",
        "replayed",
        "retry-later",
    ];
    eventually_or("every job is sent", DEADLINE, || {
        let seen: Vec<_> = sink
            .requests()
            .iter()
            .filter_map(|request| request.header("postrider-label").map(str::to_owned))
            .collect();
        if labels.iter().all(|label| seen.iter().any(|own| own == label)) {
            Ok(())
        } else {
            Err(seen.join(", "))
        }
    });
    for queue in ["mail", "mail/1", "quiet"] {
        Queue::new(redis, queue).wait_until_drained(DEADLINE);
    }
    assert!(worker.stop().success());
    assert_eq!(
        listed(redis, &["dead", "list"], "reason"),
        pairs(&[("", "malformed"), ("running", "cancelled")])
    );
    let ready =
        sink.requests().into_iter().find(|request| request.header("postrider-label") == Some("ready"));
    let ready = ready.expect("it was sent");
    assert_eq!(
        (ready.method.as_str(), &ready.body[..], ready.header("content-type")),
        ("PUT", &b"hello"[..], Some("text/plain"))
    );
    assert!(
        ready
            .header("traceparent")
            .is_some_and(|context| context.contains("0af7651916cd43dd8448eb211c80319c"))
    );
}

#[test]
fn entries_of_older_producers_end_as_they_did() {
    for version in versions() {
        let (redis, sink) = (RedisServer::start(), Sink::start());
        let mail = Queue::new(&redis, "mail");
        let text = std::fs::read_to_string(version.join("entries.json")).expect("the entries");
        let entries: Vec<Value> = serde_json::from_str(&text).expect("a list");
        let mut worker = worker(&redis, &sink, "mail");
        for entry in &entries {
            let fields = entry["fields"].as_object().expect("fields");
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("text"))).collect();
            let job_id = mail.enqueue(&fields);
            mail.wait_until_drained(DEADLINE);
            let dead = mail
                .dead()
                .into_iter()
                .chain(mail.rejected())
                .find(|letter| letter.field("_job_id").as_deref() == Some(&job_id));
            let ended = dead.map_or("succeeded".to_owned(), |letter| letter.reason());
            assert_eq!(entry["ends"], ended, "{entry}");
        }
        assert!(worker.stop().success());
        let whole =
            sink.requests().into_iter().find(|request| request.path == "/whole?a=b").expect("it was sent");
        assert_eq!(
            (whole.method.as_str(), &whole.body[..], whole.header("postrider-label")),
            ("PUT", &b"hello"[..], Some("order:1"))
        );
        let signed =
            sink.requests().into_iter().find(|request| request.path == "/signed").expect("it was sent");
        assert!(
            signed.header("webhook-signature").is_some()
                && signed.header("content-type") == Some("application/json")
        );
    }
}
