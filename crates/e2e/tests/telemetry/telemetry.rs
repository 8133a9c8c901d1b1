//! Tests of the telemetry about jobs that a worker exports to an OTLP receiver.

mod commands;
mod console;
mod contexts;
mod cron;
mod first_spans;
mod metrics;
mod noise;
mod send_from;
mod traces;
#[path = "telemetry/w3c.rs"]
mod w3c;

use std::collections::HashSet;

use e2e::otlp::{Receiver, SpanKind, SpanRecord, Status};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;
use serde_json::json;

const GRPC: &str = "grpc";
const HTTP: &str = "http/protobuf";

/// A worker that exports to a receiver.
struct ObservedWorker {
    worker: Postrider,
    receiver: Receiver,
    world: World,
}

impl ObservedWorker {
    fn start(protocol: &'static str, arguments: &[&str]) -> ObservedWorker {
        let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
        let endpoint = receiver.endpoint(protocol);
        let mut world = World::new(Build::Otel);
        for (name, value) in environment(protocol, &endpoint) {
            world = world.with(name, value);
        }
        ObservedWorker { worker: world.worker(arguments), receiver, world }
    }

    fn queue(&self) -> Queue<'_> {
        self.world.queue()
    }

    /// With telemetry on, too; returns the trace id that it prints.
    fn send(&self, path: &str) -> String {
        let output = self.world.run(&["send", "POST", &self.world.sink.url(path), "-d", "hello", "--json"]);
        assert_eq!(output.code(), 0, "{output:?}");
        output.json()["trace_id"].as_str().expect("send names the trace").to_owned()
    }

    fn drained(&self) {
        self.queue().wait_until_drained(DEADLINE);
    }

    /// The spans of a trace, when `count` of them have the name.
    fn trace(&self, trace_id: &str, name: &str, count: usize) -> Vec<SpanRecord> {
        let of_trace = |span: &&SpanRecord| span.trace_id == trace_id;
        let spans = self.receiver.wait_for_spans(&format!("{count} spans {name:?}"), DEADLINE, |spans| {
            spans.iter().filter(of_trace).filter(|span| span.name == name).count() >= count
        });
        spans.iter().filter(of_trace).cloned().collect()
    }
}

fn environment<'a>(protocol: &'a str, endpoint: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        // Once, at the end: values that are exported twice would be added twice.
        ("OTEL_METRIC_EXPORT_INTERVAL", "3600000"),
    ]
}

fn the_only<'a>(spans: &'a [SpanRecord], name: &str) -> &'a SpanRecord {
    let named: Vec<&SpanRecord> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "{name}: {spans:#?}");
    named[0]
}

fn in_order<'a>(spans: &'a [SpanRecord], name: &str) -> Vec<&'a SpanRecord> {
    let mut named: Vec<&SpanRecord> = spans.iter().filter(|span| span.name == name).collect();
    named.sort_by_key(|span| span.start);
    named
}

fn one_job_is_one_trace(protocol: &'static str) {
    let observed = ObservedWorker::start(protocol, &[]);
    let trace_id = observed.send("/ok");
    let spans = observed.trace(&trace_id, "ack default", 1);
    let [publish, process, post, ack] =
        ["publish default", "process default", "POST", "ack default"].map(|name| the_only(&spans, name));
    assert_eq!((publish.kind, publish.parent_span_id.as_deref()), (SpanKind::Producer, None));
    assert_eq!(process.kind, SpanKind::Consumer);
    assert_eq!((post.kind, ack.kind), (SpanKind::Client, SpanKind::Client));
    assert!(process.is_child_of(publish) && post.is_child_of(process) && ack.is_child_of(process));
    let traceparent = format!("00-{trace_id}-{}-01", post.span_id);
    assert_eq!(observed.world.sink.requests()[0].header("traceparent"), Some(traceparent.as_str()));
    let used =
        observed.receiver.stats().into_iter().filter(|stats| stats.requests > 0 && stats.signal == "traces");
    let expected = if protocol == GRPC { "grpc" } else { "http" };
    assert_eq!(used.map(|stats| stats.protocol).collect::<Vec<_>>(), [expected]);
}

#[test]
fn one_job_is_one_trace_over_grpc() {
    one_job_is_one_trace(GRPC);
}

#[test]
fn one_job_is_one_trace_over_http() {
    one_job_is_one_trace(HTTP);
}

#[test]
fn the_first_job_of_a_worker_shows_no_error() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    observed.send("/ok");
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let mut spans = observed.receiver.spans();
    spans.retain(|span| matches!(span.status, Status::Error(_)));
    assert_eq!(spans, []);
}

#[test]
fn a_replay_is_a_new_trace_with_links_to_the_old_one() {
    let observed = ObservedWorker::start(GRPC, &["--max-attempts", "1"]);
    let before = observed.send("/flaky/1/a");
    let old = observed.trace(&before, "process default", 1);
    eventually_or("a dead letter", DEADLINE, || {
        if observed.queue().dead().len() == 1 { Ok(()) } else { Err("none") }
    });
    let replay = ["dead", "replay", "--all", "--yes", "--redis-url", &observed.world.redis.url()];
    assert_eq!(Postrider::run(Build::Otel, &replay, &[], DEADLINE).code(), 0);
    let is_new = |span: &SpanRecord| span.name == "process default" && span.trace_id != before;
    let spans =
        observed.receiver.wait_for_spans("the replay's span", DEADLINE, |spans| spans.iter().any(is_new));
    let process = spans.iter().find(|span| is_new(span)).expect("it was waited for");
    assert_eq!(process.parent_span_id, None);
    let linked: HashSet<_> = process.links.iter().map(|link| link.span_id.as_str()).collect();
    let earlier = ["publish default", "process default"].map(|name| the_only(&old, name).span_id.as_str());
    assert_eq!(linked, HashSet::from(earlier));
    observed.drained();
}

#[test]
fn a_request_is_described_by_the_conventions() {
    let observed = ObservedWorker::start(GRPC, &[]);
    let trace_id = observed.send("/status/410?secret=1");
    let spans = observed.trace(&trace_id, "process default", 1);
    let post = the_only(&spans, "POST");
    assert_eq!(post.attributes["http.request.method"], json!("POST"));
    assert_eq!(post.attributes["http.response.status_code"], json!(410));
    assert_eq!(post.attributes["error.type"], json!("410"));
    assert_eq!(post.attributes["server.address"], json!("127.0.0.1"));
    assert_eq!(post.attributes["server.port"], json!(observed.world.sink.address().port()));
    assert!(matches!(post.status, Status::Error(_)));
    let process = the_only(&spans, "process default");
    assert_eq!(process.attributes["messaging.system"], json!("redis"));
    assert_eq!(process.attributes["messaging.operation.type"], json!("process"));
    assert!(matches!(process.status, Status::Error(_)), "this was the job's last try: {process:#?}");
}

#[test]
fn a_burst_is_settled_under_one_linked_span() {
    const JOBS: usize = 40;
    let mut observed = ObservedWorker::start(GRPC, &[]);
    for _ in 0..JOBS {
        observed.queue().enqueue(&[("url", observed.world.sink.url("/slow/500"))]);
    }
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = observed.receiver.spans();
    let processed: HashSet<&str> =
        in_order(&spans, "process default").iter().map(|span| &*span.span_id).collect();
    assert_eq!(processed.len(), JOBS);
    let mut settled = 0;
    for ack in in_order(&spans, "ack default") {
        let count = ack.attributes.get("messaging.batch.message_count").and_then(serde_json::Value::as_u64);
        settled += count.unwrap_or(1);
        if count.is_none_or(|count| count < 2) {
            continue;
        }
        assert_eq!(ack.parent_span_id, None);
        assert_eq!(Some(ack.links.len() as u64), count);
        assert!(ack.links.iter().all(|link| processed.contains(link.span_id.as_str())), "{ack:#?}");
    }
    assert_eq!(settled, JOBS as u64);
    assert!(in_order(&spans, "ack default").len() < JOBS, "the jobs all ended at once");
}

#[test]
fn a_retried_job_is_one_trace_with_links_between_its_attempts() {
    let observed = ObservedWorker::start(GRPC, &["--retry-base", "100ms"]);
    let trace_id = observed.send("/flaky/2/a");
    let spans = observed.trace(&trace_id, "process default", 3);
    let publish = the_only(&spans, "publish default");
    let processes = in_order(&spans, "process default");
    assert_eq!(processes.len(), 3);
    assert!(processes.iter().all(|process| process.is_child_of(publish)), "{processes:#?}");
    assert!(processes[1].links_to(processes[0]) && processes[2].links_to(processes[1]), "{processes:#?}");
    let posts = in_order(&spans, "POST");
    assert_eq!(posts.len(), 3);
    for (post, process) in posts.iter().zip(&processes) {
        assert!(post.is_child_of(process));
    }
    let statuses = posts.iter().map(|post| post.text("http.response.status_code").unwrap_or_default());
    assert_eq!(statuses.collect::<Vec<_>>(), ["503", "503", "200"]);
    let resends: Vec<_> = posts.iter().map(|post| post.text("http.request.resend_count")).collect();
    assert_eq!(resends, [None, Some("1".to_owned()), Some("2".to_owned())]);
    assert!(!matches!(processes[2].status, Status::Error(_)));
}

#[test]
fn retries_of_a_job_without_a_producers_context_are_one_trace() {
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "100ms"]);
    observed.queue().enqueue(&[("url", observed.world.sink.url("/flaky/2/a"))]);
    observed.world.sink.wait_for(3, DEADLINE);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = observed.receiver.spans();
    let processes = in_order(&spans, "process default");
    assert_eq!(processes.len(), 3, "{spans:#?}");
    assert_eq!(processes[0].parent_span_id, None);
    assert!(
        processes[1].is_child_of(processes[0]) && processes[2].is_child_of(processes[0]),
        "{processes:#?}"
    );
    assert!(processes[2].links_to(processes[1]));
}
