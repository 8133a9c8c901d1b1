//! Log lines over OTLP: `tracing` events through the official appender and exporter.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogProcessor, SdkLogRecord, SdkLoggerProvider,
};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::exporter::LogSender;
use super::log_record::NormalizedLoggers;
use super::tally::Tally;
use crate::log::BoxedLayer;
use crate::{Config, LogNames, Queue};

/// Log lines about exports are not exported.
const EXPORTING: [&str; 10] = [
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry-otlp",
    "opentelemetry-prometheus",
    "hyper",
    "hyper_util",
    "h2",
    "tonic",
    "tower",
    "rustls",
];

/// Each field keeps the namespace of its crate.
const NO_NAMES: LogNames = |_, _| None;

/// The layer that hands events to the provider; the same filter as on standard error.
pub(super) fn layer(provider: &SdkLoggerProvider, config: &Config, filter: Targets) -> BoxedLayer {
    let filter = filter.with_targets(EXPORTING.map(|target| (target, LevelFilter::OFF)));
    let names = config.program.map_or(NO_NAMES, |program| program.log_names);
    let loggers = NormalizedLoggers { provider: provider.clone(), limits: config.limits, names };
    OpenTelemetryTracingBridge::new(&loggers).with_filter(filter).boxed()
}

/// The SDK's queue of log records, with a count.
#[derive(Debug)]
pub(super) struct LogQueue {
    processor: BatchLogProcessor,
    tally: Arc<Tally>,
}

impl LogQueue {
    pub(super) fn new(sender: LogSender, queue: Queue, tally: Arc<Tally>) -> Self {
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(queue.capacity)
            .with_max_export_batch_size(queue.batch)
            .with_scheduled_delay(queue.delay)
            .build();
        Self { processor: BatchLogProcessor::builder(sender).with_batch_config(batch).build(), tally }
    }
}

impl LogProcessor for LogQueue {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.tally.admit() {
            self.processor.emit(record, scope);
        }
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
