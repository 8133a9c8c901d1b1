//! What the spans tell of destinations that misbehave.

use std::time::Duration;

use e2e::hostile::{Hostile, Play};
use e2e::otlp::{Receiver, SpanKind, SpanRecord, Status};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::text_file::TextFile;
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);

/// Sends so many jobs, one after the other, to a destination that plays so, and returns the spans of the last,
/// when as many as `count` of them are named POST.
fn spans_of_the_last(play: Play, jobs: usize, count: usize) -> (Hostile, Vec<SpanRecord>) {
    let (redis, destination) = (RedisServer::start(), Hostile::start(play, None));
    let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
    let config = TextFile::new("[http]\nbody_timeout = \"200ms\"\n[retry.default]\nmax_attempts = 1\n");
    let endpoint = receiver.grpc_endpoint();
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let _worker = Postrider::ready_worker(Build::Otel, &redis, &["--config", config.path()], &environment);
    let queue = Queue::new(&redis, "default");
    let url = format!("http://127.0.0.1:{}/", destination.port());
    for job in 1..=jobs {
        let context = format!("00-{job:032x}-00000000000000aa-01");
        queue.enqueue(&[("url", &url), ("traceparent", &context)]);
        queue.wait_until_drained(SOON);
    }
    assert_eq!(queue.dead().len(), 0, "{:?}", queue.dead());
    let last = format!("{jobs:032x}");
    let of_last = |span: &&SpanRecord| span.trace_id == last;
    let spans = receiver.wait_for_spans("the last job's spans", SOON, |spans| {
        let named = |name: &str| spans.iter().filter(of_last).filter(|span| span.name == name).count();
        named("POST") >= count && named("ack default") == 1 && named("process default") == 1
    });
    (destination, spans.iter().filter(of_last).cloned().collect())
}

fn posts(spans: &[SpanRecord]) -> Vec<&SpanRecord> {
    let mut posts: Vec<_> = spans.iter().filter(|span| span.name == "POST").collect();
    posts.sort_by_key(|span| span.start);
    let process = spans.iter().find(|span| span.name == "process default").expect("it was waited for");
    assert!(
        posts.iter().all(|post| post.kind == SpanKind::Client && post.is_child_of(process)),
        "{spans:#?}"
    );
    posts
}

#[test]
fn a_repetition_on_a_new_connection_is_a_span_that_counts_it() {
    let (destination, spans) = spans_of_the_last(Play::CloseAtReuse, 2, 2);
    let posts = posts(&spans);
    let [first, second] = posts[..] else { panic!("two requests of one attempt: {posts:#?}") };
    assert_eq!(first.attributes.get("http.request.resend_count"), None, "{first:#?}");
    assert_eq!(first.text("error.type").as_deref(), Some("connection_reset"), "{first:#?}");
    assert!(matches!(first.status, Status::Error(_)), "{first:#?}");
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
    let play = Play::Drip(head, b"1\r\nx\r\n".to_vec(), Duration::from_millis(20));
    let (destination, spans) = spans_of_the_last(play, 1, 1);
    let posts = posts(&spans);
    let [post] = posts[..] else { panic!("one request: {posts:#?}") };
    assert_eq!(post.attributes.get("http.response.status_code"), Some(&json!(200)), "{post:#?}");
    assert_eq!(post.text("error.type").as_deref(), Some("body_timeout"), "{post:#?}");
    assert!(matches!(post.status, Status::Error(_)), "{post:#?}");
    assert!(post.duration() >= Duration::from_millis(200), "the span lasts as long as the body: {post:#?}");
    assert_eq!(destination.heads().len(), 1);
    let process = spans.iter().find(|span| span.name == "process default").expect("it was waited for");
    assert_eq!(process.attributes.get("error.type"), None, "it was delivered: {process:#?}");
}
