//! Converts the protobuf messages to the receiver's own JSON, one object for each span or metric.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    HistogramDataPoint, Metric, NumberDataPoint, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, span::Link};
use serde_json::{Map, Value, json};

pub(crate) fn spans(request: ExportTraceServiceRequest) -> Vec<Value> {
    let mut flat = Vec::new();
    for of_resource in request.resource_spans {
        let resource = resource(of_resource.resource.as_ref());
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap_or_default();
            let schema = schema(&of_scope.schema_url, &of_resource.schema_url);
            flat.extend(of_scope.spans.iter().map(|one| span(one, &scope, schema, &resource)));
        }
    }
    flat
}

pub(crate) fn metrics(request: ExportMetricsServiceRequest) -> Vec<Value> {
    let mut flat = Vec::new();
    for of_resource in request.resource_metrics {
        let resource = resource(of_resource.resource.as_ref());
        for of_scope in of_resource.scope_metrics {
            let scope = of_scope.scope.unwrap_or_default();
            let schema = schema(&of_scope.schema_url, &of_resource.schema_url);
            flat.extend(of_scope.metrics.iter().map(|one| metric(one, &scope, schema, &resource)));
        }
    }
    flat
}

pub(crate) fn logs(request: ExportLogsServiceRequest) -> Vec<Value> {
    let mut flat = Vec::new();
    for of_resource in request.resource_logs {
        let resource = resource(of_resource.resource.as_ref());
        for of_scope in of_resource.scope_logs {
            let scope = of_scope.scope.unwrap_or_default();
            let schema = schema(&of_scope.schema_url, &of_resource.schema_url);
            flat.extend(of_scope.log_records.iter().map(|one| log(one, &scope, schema, &resource)));
        }
    }
    flat
}

pub(crate) fn count_spans(request: &ExportTraceServiceRequest) -> usize {
    let scopes = request.resource_spans.iter().flat_map(|of_resource| &of_resource.scope_spans);
    scopes.map(|of_scope| of_scope.spans.len()).sum()
}

pub(crate) fn count_metrics(request: &ExportMetricsServiceRequest) -> usize {
    let scopes = request.resource_metrics.iter().flat_map(|of_resource| &of_resource.scope_metrics);
    scopes.map(|of_scope| of_scope.metrics.len()).sum()
}

pub(crate) fn count_logs(request: &ExportLogsServiceRequest) -> usize {
    let scopes = request.resource_logs.iter().flat_map(|of_resource| &of_resource.scope_logs);
    scopes.map(|of_scope| of_scope.log_records.len()).sum()
}

fn log(record: &LogRecord, scope: &InstrumentationScope, schema: &str, resource: &Value) -> Value {
    json!({
        "time": record.time_unix_nano,
        "observed_time": record.observed_time_unix_nano,
        "trace_id": hex(&record.trace_id),
        "span_id": hex(&record.span_id),
        "severity": record.severity_text,
        "severity_number": record.severity_number,
        "body": any(record.body.as_ref()),
        "event_name": record.event_name,
        "attributes": attributes(&record.attributes),
        "dropped": record.dropped_attributes_count,
        "scope_name": scope.name,
        "schema_url": schema,
        "resource": resource,
    })
}

/// The scope's schema URL, or else the resource's.
fn schema<'a>(of_scope: &'a str, of_resource: &'a str) -> &'a str {
    if of_scope.is_empty() { of_resource } else { of_scope }
}

fn span(span: &Span, scope: &InstrumentationScope, schema: &str, resource: &Value) -> Value {
    let status = span.status.clone().unwrap_or_default();
    json!({
        "trace_id": hex(&span.trace_id),
        "span_id": hex(&span.span_id),
        "parent_span_id": hex(&span.parent_span_id),
        "trace_state": span.trace_state,
        "name": span.name,
        "kind": span.kind,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": attributes(&span.attributes),
        "links": span.links.iter().map(link).collect::<Vec<_>>(),
        "events": span.events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(),
        "dropped": span.dropped_attributes_count + span.dropped_links_count + span.dropped_events_count,
        "status_code": status.code,
        "status_message": status.message,
        "scope_name": scope.name,
        "scope_version": scope.version,
        "schema_url": schema,
        "resource": resource,
    })
}

fn link(link: &Link) -> Value {
    json!({
        "trace_id": hex(&link.trace_id),
        "span_id": hex(&link.span_id),
        "attributes": attributes(&link.attributes),
    })
}

fn metric(metric: &Metric, scope: &InstrumentationScope, schema: &str, resource: &Value) -> Value {
    let (kind, points): (&str, Vec<Value>) = match &metric.data {
        Some(Data::Gauge(gauge)) => ("gauge", gauge.data_points.iter().map(number).collect()),
        Some(Data::Sum(sum)) => ("sum", sum.data_points.iter().map(number).collect()),
        Some(Data::Histogram(one)) => ("histogram", one.data_points.iter().map(histogram).collect()),
        _ => ("other", Vec::new()),
    };
    let (temporality, is_monotonic) = match &metric.data {
        Some(Data::Sum(sum)) => (sum.aggregation_temporality, sum.is_monotonic),
        Some(Data::Histogram(one)) => (one.aggregation_temporality, false),
        _ => (0, false),
    };
    json!({
        "name": metric.name,
        "unit": metric.unit,
        "description": metric.description,
        "kind": kind,
        "temporality": temporality,
        "is_monotonic": is_monotonic,
        "points": points,
        "scope_name": scope.name,
        "scope_version": scope.version,
        "schema_url": schema,
        "resource": resource,
    })
}

fn number(point: &NumberDataPoint) -> Value {
    let value = match point.value {
        Some(number_data_point::Value::AsDouble(value)) => json!(value),
        Some(number_data_point::Value::AsInt(value)) => json!(value),
        None => Value::Null,
    };
    json!({ "attributes": attributes(&point.attributes), "value": value })
}

fn histogram(point: &HistogramDataPoint) -> Value {
    json!({
        "attributes": attributes(&point.attributes),
        "count": point.count,
        "sum": point.sum,
        "bounds": point.explicit_bounds,
        "bucket_counts": point.bucket_counts,
    })
}

fn resource(resource: Option<&Resource>) -> Value {
    resource.map_or_else(|| json!({}), |resource| attributes(&resource.attributes))
}

fn attributes(pairs: &[KeyValue]) -> Value {
    let pairs = pairs.iter().map(|pair| (pair.key.clone(), any(pair.value.as_ref())));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn any(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(value)) => json!(value),
        Some(Any::IntValue(value)) => json!(value),
        Some(Any::DoubleValue(value)) => json!(value),
        Some(Any::ArrayValue(list)) => list.values.iter().map(|value| any(Some(value))).collect(),
        Some(Any::KvlistValue(list)) => attributes(&list.values),
        Some(Any::BytesValue(bytes)) => json!(bytes),
        _ => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
