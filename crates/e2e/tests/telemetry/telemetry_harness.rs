//! Tests of the OTLP receiver: the assumptions of the telemetry tests about it.

use std::time::Duration;

use e2e::http_call::{Answer, exchange};
use e2e::otlp::{MetricKind, Mode, Receiver, SpanKind, Status, Temporality};
use e2e::wait::{self, DEADLINE};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Histogram, HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status as ProtoStatus, span::Link,
};
use prost::Message;
use serde_json::json;
use tonic::Code;

/// How long to wait for an answer that must not come.
const A_MOMENT: Duration = Duration::from_millis(300);

fn receiver() -> Receiver {
    Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn resource() -> Option<Resource> {
    let name = attribute("service.name", any_value::Value::StringValue("shop".to_owned()));
    Some(Resource { attributes: vec![name], ..Resource::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "a scope".to_owned(),
        version: "1.2".to_owned(),
        ..InstrumentationScope::default()
    })
}

fn trace_request() -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        name: "POST".to_owned(),
        kind: 3,
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 3_000_000_000,
        attributes: vec![attribute("http.response.status_code", any_value::Value::IntValue(503))],
        links: vec![Link { trace_id: vec![1; 16], span_id: vec![2; 8], ..Link::default() }],
        status: Some(ProtoStatus { code: 2, message: "why".to_owned() }),
        dropped_links_count: 2,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { scope: scope(), spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { resource: resource(), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

fn metrics_request() -> ExportMetricsServiceRequest {
    let point = HistogramDataPoint {
        count: 2,
        sum: Some(0.5),
        explicit_bounds: vec![0.1],
        bucket_counts: vec![1, 1],
        ..HistogramDataPoint::default()
    };
    let histogram = Histogram { data_points: vec![point], aggregation_temporality: 2 };
    let metric = Metric {
        name: "a.duration".to_owned(),
        unit: "s".to_owned(),
        description: "How long.".to_owned(),
        data: Some(metric::Data::Histogram(histogram)),
        ..Metric::default()
    };
    let scope_metrics =
        vec![ScopeMetrics { scope: scope(), metrics: vec![metric], schema_url: "https://a/1".to_owned() }];
    let resource_metrics =
        ResourceMetrics { resource: resource(), scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
}

fn export_over_grpc(receiver: &Receiver) -> Result<ExportTraceServiceResponse, Code> {
    try_export_over_grpc(receiver, DEADLINE).expect("an answer")
}

/// `None` if no response arrived within that time.
fn try_export_over_grpc(
    receiver: &Receiver,
    timeout: Duration,
) -> Option<Result<ExportTraceServiceResponse, Code>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut client = TraceServiceClient::connect(receiver.grpc_endpoint()).await.expect("a connection");
        let answer = tokio::time::timeout(timeout, client.export(trace_request())).await.ok()?;
        Some(answer.map(tonic::Response::into_inner).map_err(|status| status.code()))
    })
}

fn export_over_http(receiver: &Receiver, path: &str, message: &[u8]) -> Answer {
    try_export_over_http(receiver, path, message, DEADLINE).expect("an answer")
}

fn try_export_over_http(
    receiver: &Receiver,
    path: &str,
    message: &[u8],
    timeout: Duration,
) -> std::io::Result<Answer> {
    let headers = [("content-type", "application/x-protobuf")];
    exchange(receiver.http_address(), "POST", path, &headers, message, timeout)
}

#[test]
fn a_span_comes_over_grpc_with_all_its_parts() {
    let receiver = receiver();
    assert_eq!(export_over_grpc(&receiver), Ok(ExportTraceServiceResponse::default()));
    let spans = receiver.wait_for_spans("a span", DEADLINE, |spans| !spans.is_empty());
    let span = &spans[0];
    assert_eq!((span.trace_id.as_str(), span.span_id.as_str()), (&*"ab".repeat(16), &*"cd".repeat(8)));
    assert_eq!(
        (span.parent_span_id.as_ref(), span.name.as_str(), span.kind),
        (None, "POST", SpanKind::Client)
    );
    assert_eq!(span.duration(), Duration::from_secs(2));
    assert_eq!(span.attributes["http.response.status_code"], json!(503));
    assert_eq!(span.links[0].span_id, "02".repeat(8));
    assert_eq!(span.status, Status::Error("why".to_owned()));
    assert_eq!((span.scope_name.as_str(), span.scope_version.as_str()), ("a scope", "1.2"));
    assert_eq!((span.dropped, span.events.len(), span.schema_url.as_str()), (2, 0, ""));
    assert_eq!(span.resource["service.name"], json!("shop"));
}

#[test]
fn a_metric_comes_over_http_with_all_its_parts() {
    let receiver = receiver();
    let answer = export_over_http(&receiver, "/v1/metrics", &metrics_request().encode_to_vec());
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let metric = &receiver.metrics()[0];
    assert_eq!((metric.name.as_str(), metric.unit.as_str()), ("a.duration", "s"));
    assert_eq!((metric.description.as_str(), metric.kind), ("How long.", MetricKind::Histogram));
    assert_eq!((metric.temporality, metric.is_monotonic), (Temporality::Cumulative, false));
    assert_eq!((metric.scope_version.as_str(), metric.schema_url.as_str()), ("1.2", "https://a/1"));
    let point = &metric.points[0];
    assert_eq!(
        (point.count, point.sum, &*point.bounds, &*point.bucket_counts),
        (2, 0.5, &[0.1][..], &[1, 1][..])
    );
}

#[test]
fn the_same_span_comes_over_both_protocols() {
    let receiver = receiver();
    export_over_grpc(&receiver).unwrap();
    export_over_http(&receiver, "/v1/traces", &trace_request().encode_to_vec());
    let spans = receiver.spans();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0], spans[1]);
    let counted = receiver.stats().into_iter().filter(|stats| stats.requests == 1 && stats.accepted == 1);
    assert_eq!(counted.map(|stats| stats.protocol).collect::<Vec<_>>(), ["grpc", "http"]);
}

#[test]
fn a_body_that_is_not_otlp_is_a_bad_request() {
    let receiver = receiver();
    let status = |path| export_over_http(&receiver, path, b"\xff\xff\xff").status;
    assert_eq!([status("/v1/traces"), status("/v1/metrics"), status("/v1/profiles")], [400, 400, 404]);
}

#[test]
fn a_mode_decides_what_a_client_receives() {
    let receiver = receiver();
    let message = trace_request().encode_to_vec();
    let cases = [(Mode::Refuse, Code::Unavailable, 503), (Mode::Unimplemented, Code::Unimplemented, 404)];
    for (mode, code, status) in cases {
        receiver.set_mode(mode);
        assert_eq!(export_over_grpc(&receiver), Err(code));
        assert_eq!(export_over_http(&receiver, "/v1/traces", &message).status, status);
    }
    assert_eq!(receiver.spans(), []);
    assert_eq!(receiver.stats().iter().map(|stats| stats.refused).sum::<u64>(), 4);

    receiver.set_mode(Mode::Partial(1));
    let partial = export_over_grpc(&receiver).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    receiver.set_mode(Mode::Slow(Duration::from_millis(50)));
    assert!(export_over_grpc(&receiver).is_ok());
}

#[test]
fn a_hanging_receiver_does_not_answer_until_its_mode_changes() {
    let receiver = receiver();
    receiver.set_mode(Mode::Hang);
    assert_eq!(try_export_over_grpc(&receiver, A_MOMENT), None);
    let message = trace_request().encode_to_vec();
    assert!(try_export_over_http(&receiver, "/v1/traces", &message, A_MOMENT).is_err());
    receiver.set_mode(Mode::Ok);
    assert!(export_over_grpc(&receiver).is_ok());
    wait::eventually("all three are counted", DEADLINE, || (receiver.requests() == 3).then_some(()));
}
