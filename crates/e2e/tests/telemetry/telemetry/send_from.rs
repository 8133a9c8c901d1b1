//! Spans of `postrider send --from` for jobs that are enqueued together.

use std::collections::HashSet;

use e2e::otlp::{SpanKind, SpanRecord, Status};
use e2e::process::{Build, Postrider};
use e2e::text_file::TextFile;

use super::{DEADLINE, GRPC, ObservedWorker, environment, the_only};

/// Enqueues the lines, with telemetry on and these variables, and returns the spans when the worker has delivered
/// them.
fn sent(lines: &[String], variables: &[(&str, &str)]) -> Vec<SpanRecord> {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    let file = TextFile::new(&lines.join("\n").replace("URL", &observed.world.sink.url("/ok")));
    let (endpoint, redis) = (observed.receiver.grpc_endpoint(), observed.world.redis.url());
    let arguments = ["send", "--from", file.path(), "--redis-url", &redis];
    let environment = [&environment(GRPC, &endpoint)[..], variables].concat();
    let output = Postrider::run(Build::Otel, &arguments, &environment, DEADLINE);
    assert_eq!(output.code(), 0, "{output:?}");
    observed.world.sink.wait_for(lines.len(), DEADLINE);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    observed.receiver.spans()
}

fn trace_id(number: usize) -> String {
    format!("0af7651916cd43dd8448eb211c80319{number}")
}

fn parent_id(number: usize) -> String {
    format!("b7ad6b716920333{number}")
}

fn with_context(number: usize) -> String {
    format!(r#"{{"url":"URL","traceparent":"00-{}-{}-01"}}"#, trace_id(number), parent_id(number))
}

fn without_context() -> String {
    r#"{"url":"URL"}"#.to_owned()
}

/// The parents of the work on the jobs.
fn parents(spans: &[SpanRecord]) -> Vec<(String, Option<String>)> {
    let work = spans.iter().filter(|span| span.name == "process default");
    let mut parents: Vec<_> = work.map(|span| (span.trace_id.clone(), span.parent_span_id.clone())).collect();
    parents.sort();
    parents
}

fn links(span: &SpanRecord) -> Vec<(String, String)> {
    span.links.iter().map(|link| (link.trace_id.clone(), link.span_id.clone())).collect()
}

/// Each job that was enqueued with others: its root span and its process span.
fn traces<'a>(spans: &'a [SpanRecord]) -> Vec<(&'a SpanRecord, &'a SpanRecord)> {
    let roots = spans.iter().filter(|span| span.name == "create default");
    let work = |root: &SpanRecord| {
        let of_root = |span: &&SpanRecord| span.name == "process default" && span.trace_id == root.trace_id;
        let work: Vec<&'a SpanRecord> = spans.iter().filter(of_root).collect();
        assert_eq!(work.len(), 1, "one job is one trace: {spans:#?}");
        work[0]
    };
    roots.map(|root| (root, work(root))).collect()
}

#[test]
fn jobs_that_each_bring_a_context_keep_it_and_are_sent_under_one_span_with_a_link_to_each() {
    let spans = sent(&[1, 2, 3].map(with_context), &[]);
    let send = the_only(&spans, "send default");
    assert_eq!((send.kind, send.parent_span_id.as_deref()), (SpanKind::Client, None));
    assert_eq!(send.text("messaging.batch.message_count").as_deref(), Some("3"));
    assert_eq!(links(send), [1, 2, 3].map(|number| (trace_id(number), parent_id(number))));
    assert_eq!(parents(&spans), [1, 2, 3].map(|number| (trace_id(number), Some(parent_id(number)))));
    assert!(spans.iter().all(|span| !["publish default", "create default"].contains(&&*span.name)));
}

#[test]
fn each_job_of_a_batch_is_a_trace_whose_root_is_linked_to_the_span_that_enqueues_them() {
    let spans = sent(&[without_context(), with_context(2), without_context()], &[]);
    let publish = the_only(&spans, "publish default");
    assert_eq!((publish.kind, publish.parent_span_id.as_deref()), (SpanKind::Client, None));
    assert_eq!(publish.text("messaging.batch.message_count").as_deref(), Some("3"));
    assert_eq!(links(publish), [(trace_id(2), parent_id(2))]);
    let traces = traces(&spans);
    let ids: HashSet<&str> = traces.iter().map(|(root, _)| root.trace_id.as_str()).collect();
    assert_eq!((traces.len(), ids.len()), (2, 2), "{spans:#?}");
    assert!(!ids.contains(publish.trace_id.as_str()));
    for (root, work) in traces {
        assert_eq!((root.kind, root.parent_span_id.as_deref()), (SpanKind::Producer, None));
        assert_eq!(links(root), [(publish.trace_id.clone(), publish.span_id.clone())]);
        assert_eq!(root.text("messaging.operation.type").as_deref(), Some("create"));
        assert_eq!(root.text("messaging.message.id"), work.text("messaging.message.id"));
        assert!(work.is_child_of(root), "{work:#?}");
    }
    assert!(parents(&spans).contains(&(trace_id(2), Some(parent_id(2)))));
}

#[test]
fn one_job_of_a_file_is_enqueued_as_without_a_file() {
    let spans = sent(&[without_context()], &[]);
    let publish = the_only(&spans, "publish default");
    assert_eq!(
        (publish.kind, publish.attributes.get("messaging.batch.message_count")),
        (SpanKind::Producer, None)
    );
    assert!(the_only(&spans, "process default").is_child_of(publish));
    assert!(spans.iter().all(|span| span.name != "create default"));
}

#[test]
fn the_sampler_decides_for_each_job_of_a_batch() {
    let half = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.5")];
    let jobs: Vec<String> = (0..100).map(|_| without_context()).collect();
    let spans = sent(&jobs, &half);
    let traces = traces(&spans);
    assert!((10..=90).contains(&traces.len()), "about half of them: {}", traces.len());
    // A job that is not recorded when it is enqueued is not recorded later.
    assert_eq!(parents(&spans).len(), traces.len());
    let publishes = spans.iter().filter(|span| span.name == "publish default").count();
    // Each link points to an existing span.
    assert!(traces.iter().all(|(root, _)| root.links.len() == publishes), "{publishes} {traces:#?}");
}

#[test]
fn jobs_that_redis_does_not_take_are_failed_roots() {
    let observed = ObservedWorker::start(GRPC, &[]);
    observed.world.redis.command(&["DEL", "postrider:{default}:jobs"]);
    observed.world.redis.command(&["SET", "postrider:{default}:jobs", "no stream"]);
    let file = TextFile::new(
        &[without_context(), without_context()].join("\n").replace("URL", &observed.world.sink.url("/ok")),
    );
    let (endpoint, redis) = (observed.receiver.grpc_endpoint(), observed.world.redis.url());
    let arguments = ["send", "--from", file.path(), "--redis-url", &redis];
    let output = Postrider::run(Build::Otel, &arguments, &environment(GRPC, &endpoint), DEADLINE);
    assert_eq!(output.code(), 4, "{output:?}");
    let spans = observed.receiver.spans();
    let failed: Vec<_> = spans.iter().filter(|span| matches!(span.status, Status::Error(_))).collect();
    let mut names: Vec<_> = failed.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["create default", "create default", "publish default"], "{spans:#?}");
    assert!(failed.iter().all(|span| span.text("error.type").as_deref() == Some("WRONGTYPE")), "{failed:#?}");
}
