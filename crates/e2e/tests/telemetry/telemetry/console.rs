//! Traces that begin at a caller of the console.

use std::collections::HashSet;
use std::net::SocketAddr;

use e2e::http_call::{Answer, exchange};
use e2e::otlp::{SpanKind, SpanRecord};
use e2e::process::{Build, Postrider};
use e2e::wait::{DEADLINE, eventually};
use serde_json::{Value, json};

use super::{GRPC, ObservedWorker, environment, the_only};

const CALLER: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
const JOBS: &str = "/v1/queues/default/jobs";
const JSON: &str = "application/json";

/// A console that exports to the receiver of a worker.
struct Console {
    _process: Postrider,
    address: SocketAddr,
}

impl Console {
    fn beside(observed: &ObservedWorker) -> Console {
        let (endpoint, redis) = (observed.receiver.grpc_endpoint(), observed.world.redis.url());
        let variables = [&environment(GRPC, &endpoint)[..], &[("POSTRIDER_REDIS_URL", &*redis)]].concat();
        let (process, address) = Postrider::console(Build::Otel, &[], &variables);
        Console { _process: process, address }
    }

    /// Sends a body, with the caller's context.
    fn post(&self, path: &str, kind: &str, body: &str) -> Answer {
        let traceparent = format!("00-{}-{}-01", CALLER.0, CALLER.1);
        let headers = [("content-type", kind), ("traceparent", &traceparent)];
        exchange(self.address, "POST", path, &headers, body.as_bytes(), DEADLINE).expect("an answer")
    }
}

/// The span of the console's request, which is a child of the caller's.
#[track_caller]
fn server<'a>(spans: &'a [SpanRecord], route: &str) -> &'a SpanRecord {
    let server = the_only(spans, &format!("POST {route}"));
    assert_eq!((server.kind, server.trace_id.as_str()), (SpanKind::Server, CALLER.0));
    assert_eq!(server.parent_span_id.as_deref(), Some(CALLER.1));
    server
}

#[test]
fn one_trace_runs_from_the_caller_through_console_and_queue_to_the_destination() {
    let observed = ObservedWorker::start(GRPC, &[]);
    let console = Console::beside(&observed);
    let job = json!({"url": observed.world.sink.url("/ok")}).to_string();
    let answer = console.post(JOBS, JSON, &job);
    let enqueued: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &enqueued["trace_id"]), (201, &json!(CALLER.0)));
    observed.trace(CALLER.0, "ack default", 1);
    let spans = observed.trace(CALLER.0, "POST /v1/queues/{queue}/jobs", 1);
    let server = server(&spans, "/v1/queues/{queue}/jobs");
    let [publish, process, post] =
        ["publish default", "process default", "POST"].map(|name| the_only(&spans, name));
    assert_eq!(
        [publish.kind, process.kind, post.kind],
        [SpanKind::Producer, SpanKind::Consumer, SpanKind::Client]
    );
    assert!(
        publish.is_child_of(server) && process.is_child_of(publish) && post.is_child_of(process),
        "{spans:#?}"
    );
    let attempt = format!("00-{}-{}-01", CALLER.0, post.span_id);
    assert_eq!(observed.world.sink.requests()[0].header("traceparent"), Some(&*attempt));
}

#[test]
fn each_job_of_many_is_a_trace_that_is_linked_to_the_callers() {
    let observed = ObservedWorker::start(GRPC, &[]);
    let console = Console::beside(&observed);
    let line = json!({"url": observed.world.sink.url("/ok")}).to_string() + "\n";
    assert_eq!(console.post(JOBS, "application/x-ndjson", &line.repeat(2)).status, 201);
    let spans = observed.receiver.wait_for_spans("two settled jobs", DEADLINE, |spans| {
        let of = |name: &str| spans.iter().filter(|span| span.name == name).count();
        of("process default") == 2 && of("create default") == 2 && of("POST /v1/queues/{queue}/jobs") == 1
    });
    let publish = the_only(&spans, "publish default");
    assert!(publish.is_child_of(server(&spans, "/v1/queues/{queue}/jobs")), "{spans:#?}");
    let roots: Vec<&SpanRecord> = spans.iter().filter(|span| span.name == "create default").collect();
    let work: Vec<&SpanRecord> = spans.iter().filter(|span| span.name == "process default").collect();
    for root in &roots {
        let link = root.links.first().expect("a link");
        assert_eq!((&link.trace_id, &link.span_id), (&publish.trace_id, &publish.span_id));
        assert!(work.iter().any(|work| work.is_child_of(root)), "{spans:#?}");
    }
    let traces: HashSet<&str> = roots.iter().map(|root| root.trace_id.as_str()).collect();
    assert_eq!((traces.len(), traces.contains(CALLER.0)), (2, false));
}

#[test]
fn a_job_that_is_replayed_by_a_form_is_linked_to_its_first_trace() {
    let observed = ObservedWorker::start(GRPC, &["--max-attempts", "1"]);
    let console = Console::beside(&observed);
    let before = observed.send("/flaky/1/a");
    let old = observed.trace(&before, "process default", 1);
    eventually("a dead letter", DEADLINE, || (observed.queue().dead().len() == 1).then_some(()));
    let form = "application/x-www-form-urlencoded";
    assert_eq!(console.post("/dead/change", form, "all=true&change=replay").status, 303);
    let is_new = |span: &&SpanRecord| span.name == "process default" && span.trace_id != before;
    let spans = observed.receiver.wait_for_spans("both spans", DEADLINE, |spans| {
        spans.iter().any(|span| is_new(&span)) && spans.iter().any(|span| span.name == "POST /dead/change")
    });
    server(&spans, "/dead/change");
    let process = spans.iter().find(is_new).expect("it was waited for");
    assert!(process.links.iter().any(|link| link.span_id == the_only(&old, "process default").span_id));
}
