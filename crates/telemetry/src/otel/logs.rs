//! Log lines over OTLP: `tracing` events through the official appender, with the job and the span that they are
//! about, and with names as the conventions have them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::LogRecord as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord,
    SdkLoggerProvider,
};
use prost::Message;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::log_attributes::namespaced;
use super::receiver::Receiver;
use super::tally::Tally;
use crate::log::BoxedLayer;
use crate::subject::{of_this_line, span_of_this_line};
use crate::{Limits, Queue, semconv};

/// What sends must not send itself.
const EXPORTING: [&str; 9] = [
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry-prometheus",
    "hyper",
    "hyper_util",
    "h2",
    "tonic",
    "tower",
    "rustls",
];

/// The layer that hands events to the provider; the same filter as on standard error.
pub(super) fn layer(provider: &SdkLoggerProvider, filter: Targets) -> BoxedLayer {
    let filter = filter.with_targets(EXPORTING.map(|target| (target, LevelFilter::OFF)));
    OpenTelemetryTracingBridge::new(provider).with_filter(filter).boxed()
}

/// Adds what a line is about while it is still known, and counts.
#[derive(Debug)]
pub(super) struct LogQueue {
    processor: BatchLogProcessor,
    tally: Arc<Tally>,
}

impl LogQueue {
    pub(super) fn new(exporter: Logs, queue: Queue, tally: Arc<Tally>) -> Self {
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(queue.capacity)
            .with_max_export_batch_size(queue.batch)
            .with_scheduled_delay(queue.delay)
            .build();
        Self { processor: BatchLogProcessor::builder(exporter).with_batch_config(batch).build(), tally }
    }
}

impl LogProcessor for LogQueue {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if !self.tally.admit() {
            return;
        }
        if let Some((queue, subject)) = of_this_line() {
            record.add_attribute(semconv::MESSAGING_MESSAGE_CONVERSATION_ID, subject.job_id);
            record.add_attribute(semconv::POSTRIDER_JOB_TICKET, subject.ticket);
            record.add_attribute(semconv::MESSAGING_DESTINATION_NAME, queue);
            record.add_attribute(semconv::POSTRIDER_JOB_ATTEMPT, i64::from(subject.attempt));
        }
        if let Some(span) = span_of_this_line().0.span_context() {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        self.processor.emit(record, scope);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

/// Sends log lines.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) receiver: Receiver,
    pub(super) resource: ResourceAttributesWithSchema,
    pub(super) limits: Limits,
}

impl LogExporter for Logs {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let items = batch.iter().count() as u64;
        let mut resource_logs = group_logs_by_resource_and_scope(&batch, &self.resource);
        tidy(&mut resource_logs, &self.limits);
        self.receiver.export(items, ExportLogsServiceRequest { resource_logs }.encode_to_vec()).await
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// The appender names an event by its place in the source, and attributes as the fields are called.
fn tidy(logs: &mut [ResourceLogs], limits: &Limits) {
    for scope in logs.iter_mut().flat_map(|resource| &mut resource.scope_logs) {
        let target = scope.scope.as_ref().map_or("", |scope| scope.name.as_str());
        for record in &mut scope.log_records {
            tidy_record(record, target, limits);
        }
    }
}

fn tidy_record(record: &mut LogRecord, target: &str, limits: &Limits) {
    // The name that `tracing` gives an event that has none.
    if record.event_name.starts_with("event ") {
        record.event_name.clear();
    }
    for attribute in &mut record.attributes {
        attribute.key = namespaced(std::mem::take(&mut attribute.key), target);
    }
    // What the line is about is added last, and says what the event itself may have said.
    let mut seen = HashSet::new();
    record.attributes.reverse();
    record.attributes.retain(|attribute| seen.insert(attribute.key.clone()));
    let most = limits.log_attributes as usize;
    record.dropped_attributes_count = record.attributes.len().saturating_sub(most) as u32;
    record.attributes.truncate(most);
    for attribute in &mut record.attributes {
        if let (Some(length), Some(Value::StringValue(text))) =
            (limits.log_value_length, attribute.value.as_mut().and_then(|value| value.value.as_mut()))
            && let Some((end, _)) = text.char_indices().nth(length)
        {
            text.truncate(end);
        }
    }
}
