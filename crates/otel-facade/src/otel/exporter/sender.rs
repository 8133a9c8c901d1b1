//! Senders of batches: an official exporter, and the receiver's state that its results change.

use std::time::Duration;

use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::LogBatch;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};

use super::super::receiver::Receiver;

/// Sends spans. The span queue calls it; the SDK does not.
#[derive(Debug)]
pub(in super::super) struct SpanSender {
    pub(in super::super) exporter: SpanExporter,
    pub(in super::super) receiver: Receiver,
}

impl SpanSender {
    pub(in super::super) fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }

    pub(in super::super) async fn send(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.receiver.export(spans.len() as u64, self.exporter.export(spans)).await
    }
}

/// Sends metrics, called by the SDK's reader.
#[derive(Debug)]
pub(in super::super) struct MetricSender {
    pub(in super::super) exporter: MetricExporter,
    pub(in super::super) receiver: Receiver,
}

impl PushMetricExporter for MetricSender {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.receiver.export(data_points(metrics), self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

fn data_points(metrics: &ResourceMetrics) -> u64 {
    let metrics = metrics.scope_metrics().flat_map(ScopeMetrics::metrics);
    let counts = metrics.map(|metric| match metric.data() {
        AggregatedMetrics::F64(data) => count(data),
        AggregatedMetrics::U64(data) => count(data),
        AggregatedMetrics::I64(data) => count(data),
    });
    counts.sum::<usize>() as u64
}

fn count<T>(data: &MetricData<T>) -> usize {
    match data {
        MetricData::Gauge(gauge) => gauge.data_points().count(),
        MetricData::Sum(sum) => sum.data_points().count(),
        MetricData::Histogram(histogram) => histogram.data_points().count(),
        MetricData::ExponentialHistogram(histogram) => histogram.data_points().count(),
    }
}

/// Sends log records, called by the SDK's batch processor.
#[derive(Debug)]
pub(in super::super) struct LogSender {
    pub(in super::super) exporter: LogExporter,
    pub(in super::super) receiver: Receiver,
}

impl opentelemetry_sdk::logs::LogExporter for LogSender {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records = batch.iter().count() as u64;
        self.receiver.export(records, self.exporter.export(batch)).await
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
