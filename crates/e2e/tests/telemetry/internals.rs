//! `POSTRIDER_TRACE_INTERNALS`: internal spans of the worker and its libraries join the trace of the job.

use std::collections::BTreeSet;

use e2e::hostile::{Behaviour, Certificate, Flaw, Hostile};
use e2e::otlp::{Receiver, SpanKind, SpanRecord};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;
use serde_json::json;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// All spans of a worker with one job for `localhost`, over TLS, at the most verbose level, and the destination's port.
fn spans_of_a_job(internals: &str) -> (Vec<SpanRecord>, u16) {
    let redis = RedisServer::start();
    let certificate = Certificate::new(Flaw::None, &["http/1.1"]);
    let destination = Hostile::start(Behaviour::Answer(OK.to_vec()), Some(&certificate));
    let authority = TextFile::new(&certificate.pem);
    let config = TextFile::new(&format!("[http]\nca_files = [{:?}]\n", authority.path()));
    let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
    let endpoint = receiver.grpc_endpoint();
    let variables = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("POSTRIDER_TRACE_INTERNALS", internals),
        ("POSTRIDER_LOG", "trace"),
    ];
    let mut worker = Postrider::ready_worker(Build::Otel, &redis, &["--config", config.path()], &variables);
    let queue = Queue::new(&redis, "default");
    queue.enqueue(&[("url", format!("https://localhost:{}/", destination.port()))]);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(worker.stop().code(), Some(0), "{}", worker.log().join("\n"));
    assert_eq!(queue.dead().len(), 0, "{}", worker.log().join("\n"));
    (receiver.spans(), destination.port())
}

fn named<'a>(spans: &'a [SpanRecord], name: &str) -> Vec<&'a SpanRecord> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[test]
fn internal_spans_are_children_in_the_trace_of_the_job_and_follow_the_conventions() {
    let (spans, port) = spans_of_a_job("true");
    let [post] = named(&spans, "POST")[..] else { panic!("{spans:#?}") };
    for (name, keys) in [
        ("resolve", &["server.address"][..]),
        ("dial", &["network.peer.address", "network.peer.port"]),
        ("secure", &[]),
    ] {
        let [internal] = named(&spans, name)[..] else { panic!("{name}: {spans:#?}") };
        assert!(internal.is_child_of(post), "{internal:#?} {post:#?}");
        assert_eq!(internal.kind, SpanKind::Internal);
        assert!(internal.start >= post.start && internal.duration() <= post.duration(), "{internal:#?}");
        let recorded: BTreeSet<&str> = internal.attributes.keys().map(String::as_str).collect();
        assert_eq!(recorded, keys.iter().copied().collect(), "nothing of time, place, level and thread");
    }
    assert_eq!(named(&spans, "resolve")[0].text("server.address").as_deref(), Some("localhost"));
    assert_eq!(named(&spans, "dial")[0].attributes["network.peer.port"], json!(port), "a number");
    for span in &spans {
        let bare: Vec<_> = span.attributes.keys().filter(|key| !key.contains('.')).collect();
        assert!(bare.is_empty(), "{}: {bare:?} have no namespace", span.name);
        let of_source = |key: &&String| key.starts_with("code.") || key.starts_with("thread.");
        assert_eq!(span.attributes.keys().find(of_source), None, "{}", span.name);
    }
}

#[test]
fn internal_spans_are_not_sent_unless_asked_for() {
    let (spans, _) = spans_of_a_job("false");
    assert_eq!(named(&spans, "POST").len(), 1);
    for name in ["resolve", "dial", "secure"] {
        assert_eq!(named(&spans, name), Vec::<&SpanRecord>::new());
    }
}
