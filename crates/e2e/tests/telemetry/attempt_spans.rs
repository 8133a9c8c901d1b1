//! Spans of a worker's attempts: their connections, and destinations that misbehave.

use std::time::Duration;

use e2e::hostile::{Behaviour, Certificate, Flaw, Hostile};
use e2e::otlp::{Receiver, SpanKind, SpanRecord, Status};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use e2e::wait::DEADLINE;
use serde_json::json;

const CONNECTED: &[&str] =
    &["http.client.open_connections", "http.client.connection.duration", "dns.lookup.duration"];
/// The metrics of a connection that was not made.
const LOOKED_UP: &[&str] = &["dns.lookup.duration"];

/// The trace of the n-th job.
fn trace(job: usize) -> String {
    format!("{job:032x}")
}

/// Sends jobs to `localhost` there, one after the other, and returns the receiver of the worker's telemetry.
fn send(destination: &Hostile, scheme: &str, settings: &str, jobs: usize) -> Receiver {
    let redis = RedisServer::start();
    let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
    let config = TextFile::new(&format!("{settings}\n[retry.default]\nmax_attempts = 1\n"));
    let endpoint = receiver.grpc_endpoint();
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("POSTRIDER_HTTP_CONNECTION_METRICS", "true"),
    ];
    let mut worker = Postrider::ready_worker(Build::Otel, &redis, &["--config", config.path()], &environment);
    let queue = Queue::new(&redis, "default");
    let url = format!("{scheme}://localhost:{}/", destination.port());
    for job in 1..=jobs {
        let context = format!("00-{}-00000000000000aa-01", trace(job));
        queue.enqueue(&[("url", &url), ("traceparent", &context)]);
        queue.wait_until_drained(DEADLINE);
    }
    assert_eq!(worker.stop().code(), Some(0));
    receiver
}

/// The spans of the attempts of `jobs` jobs, in order, once all were measured.
fn attempts(
    destination: &Hostile,
    scheme: &str,
    settings: &str,
    jobs: usize,
    measured: &[&str],
) -> Vec<SpanRecord> {
    let receiver = send(destination, scheme, settings, jobs);
    let metrics = receiver.metrics();
    for name in measured {
        assert!(metrics.iter().any(|metric| metric.name == *name), "{name} is not among {metrics:#?}");
    }
    let mut spans = receiver.spans();
    spans.retain(|span| span.name == "POST");
    spans.sort_by_key(|span| span.start);
    assert_eq!(spans.len(), jobs, "{spans:#?}");
    spans
}

fn has(span: &SpanRecord, part: &str) -> bool {
    let seconds = span.attributes.get(&format!("hyper.{part}.duration"));
    seconds.and_then(serde_json::Value::as_f64).is_some_and(|seconds| seconds > 0.0)
}

/// Has `jobs` jobs delivered there, and returns the last one's process span and the spans of its requests,
/// in order.
fn spans_of_the_last(destination: &Hostile, jobs: usize) -> (SpanRecord, Vec<SpanRecord>) {
    let receiver = send(destination, "http", "[http]\nbody_timeout = \"200ms\"\n", jobs);
    let mut spans = receiver.spans();
    spans.retain(|span| span.trace_id == trace(jobs));
    spans.sort_by_key(|span| span.start);
    let named = |name: &str| spans.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    let [process] = &named("process default")[..] else { panic!("one process span: {spans:#?}") };
    assert_eq!(named("ack default").len(), 1, "it was delivered: {spans:#?}");
    let posts = named("POST");
    assert!(
        posts.iter().all(|post| post.kind == SpanKind::Client && post.is_child_of(process)),
        "{spans:#?}"
    );
    (process.clone(), posts)
}

#[test]
fn the_first_attempt_shows_its_new_connection_and_the_next_that_it_was_reused() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let certificate = Certificate::new(Flaw::None, &["http/1.1"]);
    let destination = Hostile::start(Behaviour::Answer(OK.to_vec()), Some(&certificate));
    let ca = TextFile::new(&certificate.pem);
    let settings = format!("[http]\nca_files = [{:?}]\n", ca.path());
    let spans = attempts(&destination, "https", &settings, 2, CONNECTED);
    for (span, reused) in spans.iter().zip([false, true]) {
        assert_eq!(span.attributes["http.response.status_code"], json!(200), "{span:#?}");
        assert_eq!(span.attributes["hyper.connection.reused"], json!(reused));
        assert_eq!(span.attributes["network.peer.address"], json!("127.0.0.1"));
        assert_eq!(span.attributes["network.peer.port"], json!(destination.port()));
        for part in ["dns", "connect", "tls"] {
            assert_eq!(has(span, part), !reused, "{part}: {span:#?}");
        }
        assert!(has(span, "first_byte"), "{span:#?}");
    }
}

#[test]
fn an_attempt_that_ends_early_shows_how_far_it_came() {
    let silent = Hostile::start(Behaviour::Silent, None);
    let settings = "[http]\nheaders_timeout = \"200ms\"\n";
    let span = attempts(&silent, "http", settings, 1, CONNECTED).remove(0);
    assert_eq!(span.text("error.type").as_deref(), Some("headers_timeout"));
    assert_eq!(span.attributes["hyper.connection.reused"], json!(false));
    assert_eq!(span.attributes["network.peer.port"], json!(silent.port()));
    assert!(has(&span, "dns") && has(&span, "connect") && !has(&span, "first_byte"), "{span:#?}");

    let deaf = Hostile::start(Behaviour::Deaf, None);
    let span = attempts(&deaf, "https", "[http]\ntls_timeout = \"200ms\"\n", 1, LOOKED_UP).remove(0);
    assert_eq!(span.text("error.type").as_deref(), Some("tls_timeout"));
    let tls = span.attributes["hyper.tls.duration"].as_f64();
    assert!(tls.is_some_and(|tls| tls >= 0.2), "{span:#?}");
}

#[test]
fn a_repetition_on_a_new_connection_is_a_span_that_counts_it() {
    let destination = Hostile::start(Behaviour::CloseAtReuse, None);
    let (_, posts) = spans_of_the_last(&destination, 2);
    let [first, second] = &posts[..] else { panic!("two requests of one attempt: {posts:#?}") };
    assert_eq!(first.attributes.get("http.request.resend_count"), None, "{first:#?}");
    assert_eq!(first.text("error.type").as_deref(), Some("connection_reset"), "{first:#?}");
    assert!(
        matches!(&first.status, Status::Error(text) if text.starts_with("the request failed: ")),
        "{first:#?}"
    );
    assert_eq!(second.attributes.get("http.request.resend_count"), Some(&json!(1)), "{second:#?}");
    assert_eq!(second.attributes.get("http.response.status_code"), Some(&json!(200)), "{second:#?}");
    assert_eq!(second.status, Status::Unset);
    assert!(first.end <= second.start, "one after the other");
    // The destination closed at the first byte, so that it has the second request of the two only.
    let heads = destination.heads();
    assert_eq!(heads.len(), 2, "{heads:?}");
    let traceparent = format!("traceparent: 00-{}-{}-01", second.trace_id, second.span_id);
    assert!(heads[1].contains(&traceparent), "{traceparent} in {}", heads[1]);
}

#[test]
fn a_body_without_an_end_shows_though_the_job_is_delivered() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let play = Behaviour::Drip(head, b"1\r\nx\r\n".to_vec(), Duration::from_millis(20));
    let destination = Hostile::start(play, None);
    let (process, posts) = spans_of_the_last(&destination, 1);
    let [post] = &posts[..] else { panic!("one request: {posts:#?}") };
    assert_eq!(post.attributes.get("http.response.status_code"), Some(&json!(200)), "{post:#?}");
    assert_eq!(post.text("error.type").as_deref(), Some("body_timeout"), "{post:#?}");
    let reason = "the response did not end within 200ms".to_owned();
    assert_eq!(post.status, Status::Error(reason), "{post:#?}");
    assert!(post.duration() >= Duration::from_millis(200), "the span lasts as long as the body: {post:#?}");
    assert_eq!(destination.heads().len(), 1);
    assert_eq!(process.attributes.get("error.type"), None, "it was delivered: {process:#?}");
}
