//! Where ended spans wait for their export, counted.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor};

use super::export::Spans;
use super::tally::Tally;
use crate::Queue;

/// The SDK's processor, which drops without a count. What is dropped is dropped before it.
#[derive(Debug)]
pub(super) struct SpanQueue {
    processor: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl SpanQueue {
    pub(super) fn new(exporter: Spans, queue: Queue, tally: Arc<Tally>) -> Self {
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(queue.capacity)
            .with_max_export_batch_size(queue.batch)
            .with_scheduled_delay(queue.delay)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
        Self { processor, tally }
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.tally.admit() {
            self.processor.on_end(span);
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
