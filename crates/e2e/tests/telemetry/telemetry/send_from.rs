//! What `postrider send --from` tells of jobs that it puts in together.

use e2e::otlp::{SpanKind, SpanRecord};
use e2e::process::{Build, Postrider};
use e2e::text_file::TextFile;

use super::{GRPC, SOON, Stage, environment, the_only};

/// Puts the lines in, with telemetry on, and answers the spans when the worker is through with them.
fn sent(lines: &[String]) -> Vec<SpanRecord> {
    let mut stage = Stage::start(GRPC, &[]);
    let file = TextFile::new(&lines.join("\n").replace("URL", &stage.sink.url("/ok")));
    let (endpoint, redis) = (stage.receiver.grpc_endpoint(), stage.redis.url());
    let arguments = ["send", "--from", file.path(), "--redis-url", &redis];
    let output = Postrider::run(Build::Otel, &arguments, &environment(GRPC, &endpoint), SOON);
    assert_eq!(output.code(), 0, "{output:?}");
    stage.sink.wait_for(3, SOON);
    stage.drained();
    assert_eq!(stage.worker.stop().code(), Some(0));
    stage.receiver.spans()
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

#[test]
fn jobs_that_each_bring_a_context_keep_it_and_are_sent_under_one_span_with_a_link_to_each() {
    let spans = sent(&[1, 2, 3].map(with_context));
    let send = the_only(&spans, "send default");
    assert_eq!((send.kind, send.parent_span_id.as_deref()), (SpanKind::Client, None));
    assert_eq!(send.text("messaging.batch.message_count").as_deref(), Some("3"));
    assert_eq!(links(send), [1, 2, 3].map(|number| (trace_id(number), parent_id(number))));
    assert_eq!(parents(&spans), [1, 2, 3].map(|number| (trace_id(number), Some(parent_id(number)))));
    assert!(spans.iter().all(|span| span.name != "publish default"));
    assert!(spans.iter().any(|span| span.name.starts_with("EVAL") && span.is_child_of(send)));
}

#[test]
fn jobs_that_bring_no_context_get_that_of_the_span_that_puts_them_in() {
    let spans = sent(&[without_context(), with_context(2), without_context()]);
    let publish = the_only(&spans, "publish default");
    assert_eq!((publish.kind, publish.parent_span_id.as_deref()), (SpanKind::Producer, None));
    assert_eq!(links(publish), [(trace_id(2), parent_id(2))]);
    let own = (publish.trace_id.clone(), Some(publish.span_id.clone()));
    let mut expected = vec![own.clone(), own, (trace_id(2), Some(parent_id(2)))];
    expected.sort();
    assert_eq!(parents(&spans), expected);
}
