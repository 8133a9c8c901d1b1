//! Tests of `postrider find`: what happened to a job, wherever it is now.

use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::text_file::TextFile;
use serde_json::{Value, json};

use super::{DEADLINE, NOWHERE, document, run};

const BUILD: Build = Build::Lean;

#[test]
fn a_job_is_found_wherever_it_is() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let mail = Queue::new(&redis, "mail");
    let mut worker = Postrider::ready_worker(BUILD, &redis, &["--queue", "mail"], &[]);
    let delivered = mail.enqueue(&[("url", sink.url("/ok")), ("result_ttl_ms", "60000".to_owned())]);
    sink.wait_for(1, DEADLINE);
    mail.wait_until_drained(DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let ready = mail.enqueue(&[("url", NOWHERE), ("label", "order-1"), ("traceparent", &traceparent)]);
    mail.schedule("7-0", &[("url", NOWHERE), ("label", "order-1")]);
    let other = Queue::new(&redis, "other");
    let entry = other.dead_letter("8-0", "attempts", NOWHERE);
    other.hand_back("9-0", &[("url", NOWHERE), ("_replay_of", "8-0")]);
    let found = |id: &str| {
        let (code, found) = document(BUILD, &redis, &["find", id]);
        let ids = |list: &Value| -> Vec<String> {
            let rows = list.as_array().expect("a list").iter();
            rows.map(|row| row["job_id"].as_str().unwrap_or_default().to_owned()).collect()
        };
        (code, ids(&found["jobs"]), ids(&found["dead"]), ids(&found["results"]))
    };
    let list = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(found("order-1"), (0, list(&[&ready, "7-0"]), vec![], vec![]));
    assert_eq!(found(TRACE), (0, list(&[&ready]), vec![], vec![]));
    assert_eq!(found(&delivered), (0, vec![], vec![], list(&[&delivered])));
    let (code, replayed, dead, _) = found("8-0");
    assert_eq!(
        (code, replayed.len(), dead),
        (0, 1, list(&["8-0"])),
        "the dead letter, and the job that replays it"
    );
    assert_eq!(found(&entry).2, list(&["8-0"]));
    assert_eq!(found("nosuch"), (1, vec![], vec![], vec![]));
    let text = run(BUILD, &redis, &["find", "8-0"]).stdout;
    assert!(text.contains("queue other, job id 8-0: dead since ") && text.contains("ATTEMPT AT"), "{text}");
    let text = run(BUILD, &redis, &["find", &delivered]).stdout;
    assert!(text.contains("succeeded with 200 after 1 attempt"), "{text}");
    let (_, all) = document(BUILD, &redis, &["find", "7-0"]);
    assert_eq!((&all["jobs"][0]["state"], &all["incomplete"]), (&json!("scheduled"), &json!(false)));
}

/// Commands that show a job link its traces: with the address of a flag, a variable or a worker's file.
#[test]
fn a_trace_is_linked_if_its_address_is_known() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PATTERN: &str = "http://traces.test/{trace_id}";
    let redis = RedisServer::start();
    let (mail, link) = (Queue::new(&redis, "mail"), format!("http://traces.test/{TRACE}"));
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let ready = mail.enqueue(&[("url", NOWHERE), ("traceparent", &traceparent)]);
    let dead = mail.key("dead");
    let fields = ["url", NOWHERE, "traceparent", &traceparent, "_job_id", "8-0", "_reason", "attempts"];
    redis.command(&[&["XADD", &dead, "*"][..], &fields].concat());
    let file = TextFile::new(&format!("trace_url = \"{PATTERN}\"\n[queues.mail]\n"));
    for [kind, id] in [["jobs", &ready], ["dead", "8-0"]] {
        let (_, linked) = document(BUILD, &redis, &[kind, "show", id, "--trace-url", PATTERN]);
        let job = &linked[kind][0];
        assert_eq!((&job["trace_id"], &job["trace_url"]), (&json!(TRACE), &json!(link)), "{linked}");
        let text = run(BUILD, &redis, &[kind, "show", id, "--config", file.path()]).stdout;
        assert!(text.contains(&format!("trace {link}")), "{text}");
        let text = run(BUILD, &redis, &[kind, "show", id]).stdout;
        assert!(!text.contains("traces.test"), "{text}");
    }
    let url = redis.url();
    let variables = [("POSTRIDER_REDIS_URL", url.as_str()), ("POSTRIDER_TRACE_URL", PATTERN)];
    let found = Postrider::run(BUILD, &["find", TRACE], &variables, DEADLINE).stdout;
    assert_eq!(found.matches(&format!("trace {link}")).count(), 2, "{found}");
    let missing = run(BUILD, &redis, &["find", TRACE, "--config", "/nonexistent"]);
    assert!(missing.code() == 0 && missing.stderr.contains("note: no links to traces: /nonexistent"));
}
