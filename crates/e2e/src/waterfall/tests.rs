//! Tests of the drawing, with traces written by hand.

use serde_json::json;

use super::*;
use crate::otlp::Attributes;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

pub(super) fn span(
    id: &str,
    parent: Option<&str>,
    name: &str,
    kind: SpanKind,
    milliseconds: (u64, u64),
) -> SpanRecord {
    SpanRecord {
        trace_id: TRACE.to_owned(),
        span_id: id.to_owned(),
        parent_span_id: parent.map(ToOwned::to_owned),
        trace_state: String::new(),
        name: name.to_owned(),
        kind,
        start: milliseconds.0 * 1_000_000,
        end: milliseconds.1 * 1_000_000,
        attributes: Attributes::new(),
        links: Vec::new(),
        status: Status::Unset,
        scope_name: String::new(),
        scope_version: String::new(),
        schema_url: String::new(),
        events: vec![],
        dropped: 0,
        resource: Attributes::new(),
    }
}

pub(super) fn retried_job() -> Vec<SpanRecord> {
    let mut failed = span("c1c1c1c1c1c1c1c1", Some("b1b1b1b1b1b1b1b1"), "POST", SpanKind::Client, (10, 20));
    failed.status = Status::Error(String::new());
    failed.attributes.insert("error.type".to_owned(), json!("503"));
    failed.attributes.insert("http.response.status_code".to_owned(), json!(503));
    let mut second =
        span("b2b2b2b2b2b2b2b2", Some("a1a1a1a1a1a1a1a1"), "process default", SpanKind::Consumer, (80, 100));
    second.links.push(LinkRecord {
        trace_id: TRACE.to_owned(),
        span_id: "b1b1b1b1b1b1b1b1".to_owned(),
        attributes: Attributes::new(),
    });
    vec![
        second,
        span("b1b1b1b1b1b1b1b1", Some("a1a1a1a1a1a1a1a1"), "process default", SpanKind::Consumer, (10, 30)),
        failed,
        span("a1a1a1a1a1a1a1a1", None, "publish default", SpanKind::Producer, (0, 1)),
    ]
}

#[test]
fn spans_are_below_their_parent_in_order_of_time() {
    let expected = "\
trace 0af7651916cd43dd8448eb211c80319c · 4 spans · 100.0 ms
publish default           PRODUCER   1.0 ms  █··················
├─ process default        CONSUMER  20.0 ms  ·████··············
│  └─ POST                CLIENT    10.0 ms  ·██················  ✗ 503
└─ process default        CONSUMER  20.0 ms  ···············████
      ⇢ link to process default b1b1b1b1
";
    assert_eq!(render(&retried_job(), Colour::Off), expected);
}

#[test]
fn a_span_without_its_parent_in_the_trace_is_a_root() {
    let spans = [span("b1b1b1b1b1b1b1b1", Some("ffffffffffffffff"), "POST", SpanKind::Client, (0, 0))];
    assert!(render(&spans, Colour::Off).contains("\nPOST "));
}

#[test]
fn a_link_to_another_trace_names_that_trace() {
    let mut spans = [span("b1b1b1b1b1b1b1b1", None, "receive default", SpanKind::Client, (0, 1))];
    spans[0].links.push(LinkRecord {
        trace_id: "11112222333344445555666677778888".to_owned(),
        span_id: "9999000011112222".to_owned(),
        attributes: Attributes::new(),
    });
    assert!(render(&spans, Colour::Off).contains("⇢ link to span 99990000 of trace 11112222\n"));
}

#[test]
fn no_line_is_wider_than_eighty_columns() {
    let mut spans: Vec<SpanRecord> = (0..30)
        .map(|depth: u64| {
            let parent = depth.checked_sub(1).map(|parent| format!("{parent:016x}"));
            let name = "a name that is longer than its column is wide";
            span(&format!("{depth:016x}"), parent.as_deref(), name, SpanKind::Internal, (0, 3_600_000))
        })
        .collect();
    let link = retried_job()[0].links[0].clone();
    for span in &mut spans {
        span.links.push(link.clone());
        span.status = Status::Error("an error with a description of some length".to_owned());
    }
    let text = render(&spans, Colour::Off);
    assert_eq!(text.lines().count(), 61);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn no_spans_are_no_trace() {
    assert_eq!(render(&[], Colour::Off), "no spans\n");
}
