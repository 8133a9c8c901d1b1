//! What the spans of a worker's attempts tell of their connections.

use std::time::Duration;

use e2e::hostile::{Certificate, Flaw, Hostile, Play};
use e2e::otlp::{Receiver, SpanRecord};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);

const CONNECTED: &[&str] =
    &["http.client.open_connections", "http.client.connection.duration", "dns.lookup.duration"];
/// What is measured of a connection that was not made.
const LOOKED_UP: &[&str] = &["dns.lookup.duration"];

/// Sends so many jobs, one after the other, to `localhost` there, and returns the spans of their attempts in order,
/// when so much was measured.
fn attempts(
    destination: &Hostile,
    scheme: &str,
    settings: &str,
    jobs: usize,
    measured: &[&str],
) -> Vec<SpanRecord> {
    let redis = RedisServer::start();
    let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
    let config = TextFile::new(&format!("{settings}\n[retry.default]\nmax_attempts = 1\n"));
    let endpoint = receiver.grpc_endpoint();
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("POSTRIDER_HTTP_CONNECTION_METRICS", "true"),
    ];
    let mut worker = Postrider::ready_worker(Build::Otel, &redis, &["--config", config.path()], &environment);
    let queue = Queue::new(&redis, "default");
    for _ in 0..jobs {
        queue.enqueue(&[("url", format!("{scheme}://localhost:{}/", destination.port()))]);
        queue.wait_until_drained(SOON);
    }
    assert_eq!(worker.stop().code(), Some(0));
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
    let seconds = span.attributes.get(&format!("postrider.http.{part}.duration"));
    seconds.and_then(serde_json::Value::as_f64).is_some_and(|seconds| seconds > 0.0)
}

#[test]
fn the_first_attempt_tells_how_its_connection_was_made_and_the_next_that_it_was_there() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let certificate = Certificate::new(Flaw::None, &["http/1.1"]);
    let destination = Hostile::start(Play::Answer(OK.to_vec()), Some(&certificate));
    let ca = TextFile::new(&certificate.pem);
    let settings = format!("[http]\nca_files = [{:?}]\n", ca.path());
    let spans = attempts(&destination, "https", &settings, 2, CONNECTED);
    for (span, reused) in spans.iter().zip([false, true]) {
        assert_eq!(span.attributes["http.response.status_code"], json!(200), "{span:#?}");
        assert_eq!(span.attributes["postrider.http.connection.reused"], json!(reused));
        assert_eq!(span.attributes["network.peer.address"], json!("127.0.0.1"));
        assert_eq!(span.attributes["network.peer.port"], json!(destination.port()));
        for part in ["dns", "connect", "tls"] {
            assert_eq!(has(span, part), !reused, "{part}: {span:#?}");
        }
        assert!(has(span, "first_byte"), "{span:#?}");
    }
}

#[test]
fn an_attempt_that_ends_on_the_way_tells_how_far_it_came() {
    let silent = Hostile::start(Play::Silent, None);
    let settings = "[http]\nheaders_timeout = \"200ms\"\n";
    let span = attempts(&silent, "http", settings, 1, CONNECTED).remove(0);
    assert_eq!(span.text("error.type").as_deref(), Some("headers_timeout"));
    assert_eq!(span.attributes["postrider.http.connection.reused"], json!(false));
    assert_eq!(span.attributes["network.peer.port"], json!(silent.port()));
    assert!(has(&span, "dns") && has(&span, "connect") && !has(&span, "first_byte"), "{span:#?}");

    let deaf = Hostile::start(Play::Deaf, None);
    let span = attempts(&deaf, "https", "[http]\ntls_timeout = \"200ms\"\n", 1, LOOKED_UP).remove(0);
    assert_eq!(span.text("error.type").as_deref(), Some("tls_timeout"));
    let tls = span.attributes["postrider.http.tls.duration"].as_f64();
    assert!(tls.is_some_and(|tls| tls >= 0.2), "{span:#?}");
}
