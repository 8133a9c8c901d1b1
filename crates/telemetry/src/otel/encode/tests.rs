//! What is written here must be what the generated types write.

use std::time::Duration;

use opentelemetry::StringValue;
use opentelemetry::trace::{TraceFlags, TraceState};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use prost::Message;

use super::*;

fn context(trace: u128, span: u64, remote: bool, state: &str) -> SpanContext {
    let state = state.parse().unwrap_or(TraceState::NONE);
    SpanContext::new(trace.into(), span.into(), TraceFlags::SAMPLED, remote, state)
}

fn plain() -> SpanData {
    SpanData {
        span_context: context(1, 2, false, ""),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "plain".into(),
        start_time: UNIX_EPOCH,
        end_time: UNIX_EPOCH + Duration::from_nanos(1),
        attributes: vec![],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

fn attributes() -> Vec<KeyValue> {
    let texts: Vec<StringValue> = vec!["a".into(), "".into(), "ü".repeat(200).into()];
    vec![
        KeyValue::new("text", "value"),
        KeyValue::new("empty", ""),
        KeyValue::new("long", "x".repeat(300)),
        KeyValue::new("longer", "y".repeat(20_000)),
        KeyValue::new("yes", true),
        KeyValue::new("no", false),
        KeyValue::new("zero", 0_i64),
        KeyValue::new("negative", -1_i64),
        KeyValue::new("large", i64::MAX),
        KeyValue::new("float", -0.5),
        KeyValue::new("no float", 0.0),
        KeyValue::new("texts", Value::Array(Array::String(texts))),
        KeyValue::new("numbers", Value::Array(Array::I64(vec![0, -1, i64::MIN]))),
        KeyValue::new("floats", Value::Array(Array::F64(vec![0.0, f64::INFINITY]))),
        KeyValue::new("truths", Value::Array(Array::Bool(vec![true, false]))),
        KeyValue::new("none", Value::Array(Array::I64(vec![]))),
    ]
}

fn full() -> SpanData {
    let mut span = plain();
    span.span_context = context(u128::MAX, u64::MAX, false, "a=1,b@c=2");
    span.parent_span_id = 7_u64.into();
    span.parent_span_is_remote = true;
    span.span_kind = SpanKind::Consumer;
    span.name = "n".repeat(200).into();
    span.start_time = UNIX_EPOCH + Duration::new(1_795_396_101, 999_999_999);
    span.end_time = span.start_time + Duration::from_secs(100);
    span.attributes = attributes();
    span.dropped_attributes_count = 3;
    span.events.events.push(Event::new("something", span.end_time, attributes(), 4));
    span.events.dropped_count = 5;
    span.links.links.push(Link::new(context(1, 2, true, ""), vec![], 0));
    span.links.links.push(Link::new(context(3, 4, false, "a=1"), attributes(), 6));
    span.links.dropped_count = 7;
    span.status = Status::error("why");
    span.instrumentation_scope = InstrumentationScope::builder("scope")
        .with_version("1.2")
        .with_schema_url("https://example.org/scope")
        .with_attributes([KeyValue::new("scope.a", 1_i64)])
        .build();
    span
}

fn check(spans: &[SpanData], resource: &Resource) {
    let mut encoded = vec![];
    spans.iter().for_each(|span| SpanEncoder::default().span(&mut encoded, span));
    let request = EncodedResource::new(resource).request(&spans[0].instrumentation_scope, &encoded);
    let decoded = ExportTraceServiceRequest::decode(&request[..]).expect("it is a request");
    let resource_spans = group_spans_by_resource_and_scope(spans.to_vec(), &resource.into());
    let expected = ExportTraceServiceRequest { resource_spans };
    assert_eq!(decoded, expected);
    assert_eq!(request, expected.encode_to_vec(), "and byte for byte the same");
}

#[test]
fn spans_are_written_as_the_generated_types_write_them() {
    let nobody = Resource::builder_empty().build();
    let somebody = Resource::builder_empty()
        .with_schema_url([KeyValue::new("service.name", "s")], "https://example.org/resource")
        .build();
    for resource in [&nobody, &somebody] {
        check(&[plain()], resource);
        check(&[full()], resource);
        check(&vec![full(); 100], resource);
    }
    for kind in [SpanKind::Client, SpanKind::Server, SpanKind::Producer] {
        check(&[SpanData { span_kind: kind, status: Status::Ok, ..plain() }], &nobody);
    }
}

#[test]
fn a_message_of_any_length_has_its_length_before_it() {
    for length in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_152] {
        let name = "x".repeat(length);
        check(&[SpanData { name: name.into(), ..plain() }], &Resource::builder_empty().build());
    }
}

#[test]
fn a_text_is_cut_at_a_character_where_its_length_is_limited() {
    let cut = |length, text| SpanEncoder { value_length: Some(length) }.cut(text);
    assert_eq!((cut(3, "grüße"), cut(5, "grüße"), cut(0, "grüße"), cut(9, "")), ("grü", "grüße", "", ""));
}
