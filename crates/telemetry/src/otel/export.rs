//! The exporters of the three signals: each encodes a batch and hands it to its receiver.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::Value;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;

use super::receiver::Receiver;

/// Sends spans.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) receiver: Receiver,
    pub(super) resource: ResourceAttributesWithSchema,
    /// Characters of an attribute, where they are limited.
    pub(super) value_length: Option<usize>,
}

impl SpanExporter for Spans {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        if let Some(length) = self.value_length {
            batch.iter_mut().for_each(|span| cut(span, length));
        }
        let items = batch.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        self.receiver.export(items, ExportTraceServiceRequest { resource_spans }.encode_to_vec()).await
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// The SDK itself cuts no text.
fn cut(span: &mut SpanData, length: usize) {
    let of_links = span.links.links.iter_mut().flat_map(|link| &mut link.attributes);
    let of_events = span.events.events.iter_mut().flat_map(|event| &mut event.attributes);
    for pair in span.attributes.iter_mut().chain(of_links).chain(of_events) {
        cut_value(pair, length);
    }
}

fn cut_value(pair: &mut KeyValue, length: usize) {
    if let Value::String(text) = &pair.value
        && let Some((end, _)) = text.as_str().char_indices().nth(length)
    {
        pair.value = Value::String(text.as_str()[..end].to_owned().into());
    }
}

/// Sends metrics.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) receiver: Receiver,
    pub(super) temporality: Temporality,
}

impl PushMetricExporter for Metrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let request = ExportMetricsServiceRequest::from(metrics);
        self.receiver.export(points(&request), request.encode_to_vec()).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

fn points(request: &ExportMetricsServiceRequest) -> u64 {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let points = scopes.flat_map(|scope| &scope.metrics).map(|metric| match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    });
    points.sum::<usize>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character() {
        let mut pair = KeyValue::new("a.b", "grüße");
        cut_value(&mut pair, 3);
        assert_eq!(pair.value, Value::from("grü"));
        cut_value(&mut pair, 3);
        assert_eq!(pair.value, Value::from("grü"));
        cut_value(&mut pair, 0);
        assert_eq!(pair.value, Value::from(""));
    }
}
