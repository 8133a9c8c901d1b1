//! Tests that telemetry changes what is recorded and nothing else.

use std::time::Duration;

use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::{RawSink, Sink};
use e2e::wait::eventually_or;

e2e::in_both_builds!(a_trace_context_passes_through_untouched);

const SOON: Duration = Duration::from_secs(30);

#[test]
fn both_builds_send_the_same_bytes() {
    let sink = RawSink::start();
    let mut tickets = Vec::new();
    for build in Build::ALL {
        let redis = RedisServer::start();
        let queue = Queue::new(&redis, "default");
        let _worker = Postrider::ready_worker(build, &redis, &[], &[]);
        let url = sink.url("/path?query=1");
        let headers = r#"{"X-Case":"Value","x-two":["a","b"]}"#;
        let job = [("url", url.as_str()), ("id", "order-1"), ("headers", headers), ("body", "hello")];
        tickets.push(queue.enqueue(&job));
        eventually_or("an empty queue", SOON, || queue.drained());
    }
    let requests = sink.wait_for(2, SOON);
    // The ticket is all that may differ, as it does from job to job.
    let [otel, lean] = [0, 1]
        .map(|index: usize| String::from_utf8_lossy(&requests[index]).replace(&tickets[index], "TICKET"));
    assert_eq!(otel, lean);
}

fn a_trace_context_passes_through_untouched(build: Build) {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let _worker = Postrider::ready_worker(build, &redis, &["--retry-base", "50ms"], &[]);
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let url = sink.url("/flaky/1/a");
    queue.enqueue(&[("url", url.as_str()), ("traceparent", context), ("tracestate", "a=b,c=d")]);
    for request in sink.wait_for(2, SOON) {
        assert_eq!(request.header("traceparent"), Some(context));
        assert_eq!(request.header("tracestate"), Some("a=b,c=d"));
    }
}

#[test]
fn the_lean_build_says_once_that_it_has_no_telemetry_and_works() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let environment = [("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")];
    let mut worker = Postrider::ready_worker(Build::Lean, &redis, &[], &environment);
    Queue::new(&redis, "default").enqueue(&[("url", sink.url("/ok"))]);
    assert_eq!(sink.wait_for(1, SOON)[0].header("traceparent"), None);
    assert_eq!(worker.stop().code(), Some(0));
    let log = worker.log();
    let said = log.iter().filter(|line| line.contains("not compiled in")).count();
    assert_eq!(said, 1, "{}", log.join("\n"));
}
