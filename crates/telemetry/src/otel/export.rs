//! Exporters by the configuration, and a count of what they deliver: the SDK's shutdown answers `Ok` also
//! when every span was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{ExporterBuildError, MetricExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::http_client::Hyper;
use crate::start::StartError;
use crate::{Config, Protocol, Signal};

pub(super) fn span_processor(
    config: &Config,
    runtime: &Handle,
    counts: &Arc<Counts>,
) -> Result<CountingProcessor, StartError> {
    let exporter = span_exporter(&config.traces, runtime)
        .map_err(|error| StartError::Exporter { signal: "traces", reason: error.to_string() })?;
    let exporter = CountingExporter { exporter, counts: counts.clone(), failing: AtomicBool::new(false) };
    let batch = BatchConfigBuilder::default().with_max_queue_size(config.span_queue).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
    Ok(CountingProcessor { processor, counts: counts.clone() })
}

pub(super) fn metric_exporter(signal: &Signal, runtime: &Handle) -> Result<MetricExporter, StartError> {
    let built = match signal.protocol {
        Protocol::Grpc => {
            let mut builder = MetricExporter::builder().with_tonic();
            if let Some(endpoint) = &signal.endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            builder.build()
        }
        Protocol::HttpProtobuf => {
            let client = http_client(runtime);
            client.and_then(|client| {
                let mut builder = MetricExporter::builder().with_http().with_http_client(client);
                if let Some(endpoint) = &signal.endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                builder.build()
            })
        }
    };
    built.map_err(|error| StartError::Exporter { signal: "metrics", reason: error.to_string() })
}

fn span_exporter(
    signal: &Signal,
    runtime: &Handle,
) -> Result<opentelemetry_otlp::SpanExporter, ExporterBuildError> {
    match signal.protocol {
        Protocol::Grpc => {
            let mut builder = opentelemetry_otlp::SpanExporter::builder().with_tonic();
            if let Some(endpoint) = &signal.endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            builder.build()
        }
        Protocol::HttpProtobuf => {
            let client = http_client(runtime)?;
            let mut builder =
                opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(client);
            if let Some(endpoint) = &signal.endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            builder.build()
        }
    }
}

fn http_client(runtime: &Handle) -> Result<Hyper, ExporterBuildError> {
    Hyper::new(runtime.clone()).map_err(|error| ExporterBuildError::InternalFailure(error.to_string()))
}

/// How many spans ended and how many of them the receiver has taken.
#[derive(Debug, Default)]
pub(super) struct Counts {
    ended: AtomicU64,
    delivered: AtomicU64,
}

impl Counts {
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    pub(super) fn lost(&self) -> u64 {
        self.ended().saturating_sub(self.delivered.load(Ordering::Relaxed))
    }
}

/// Counts the spans that end, dropped ones among them.
#[derive(Debug)]
pub(super) struct CountingProcessor {
    processor: BatchSpanProcessor,
    counts: Arc<Counts>,
}

impl SpanProcessor for CountingProcessor {
    fn on_start(&self, span: &mut Span, context: &opentelemetry::Context) {
        self.processor.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.counts.ended.fetch_add(1, Ordering::Relaxed);
        }
        self.processor.on_end(span);
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

/// Counts the spans that arrive, and logs when the receiver stops and starts taking them: one line a change.
#[derive(Debug)]
struct CountingExporter {
    exporter: opentelemetry_otlp::SpanExporter,
    counts: Arc<Counts>,
    failing: AtomicBool,
}

impl SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => {
                self.counts.delivered.fetch_add(spans, Ordering::Relaxed);
                if self.failing.swap(false, Ordering::Relaxed) {
                    info!(lost = self.counts.lost(), "traces are delivered again");
                }
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    warn!(%error, "traces are not delivered and will be dropped until the receiver takes them");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
