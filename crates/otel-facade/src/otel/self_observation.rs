//! Metrics of telemetry itself: processed, dropped and delivered items. Names and attributes as in the semantic
//! conventions 1.44.0, `docs/otel/sdk-metrics.md`.

use std::sync::Arc;

use super::exporter::Kind;
use super::tally::{Counts, Tally};
use crate::{Observable, Observer, Protocol, Telemetry, semconv};

/// Names of a signal's metrics and components.
struct Names {
    processed: &'static str,
    size: &'static str,
    capacity: &'static str,
    exported: &'static str,
    unit: &'static str,
    processor: &'static str,
}

const SPANS: Names = Names {
    processed: "otel.sdk.processor.span.processed",
    size: "otel.sdk.processor.span.queue.size",
    capacity: "otel.sdk.processor.span.queue.capacity",
    exported: "otel.sdk.exporter.span.exported",
    unit: "{span}",
    processor: "batching_span_processor",
};

const LOGS: Names = Names {
    processed: "otel.sdk.processor.log.processed",
    size: "otel.sdk.processor.log.queue.size",
    capacity: "otel.sdk.processor.log.queue.capacity",
    exported: "otel.sdk.exporter.log.exported",
    unit: "{log_record}",
    processor: "batching_log_processor",
};

/// Records the counts of a signal with each collection of metrics.
pub(super) fn observe(telemetry: &Telemetry, kind: Kind, protocol: Protocol, tally: &Arc<Tally>) {
    let exporter = exporter(kind, protocol);
    let names = match kind {
        Kind::Traces => SPANS,
        Kind::Logs => LOGS,
        Kind::Metrics => {
            let what = Observable::counter(
                "otel.sdk.exporter.metric_data_point.exported",
                "{data_point}",
                "Data points for which the export has finished, either successful or failed",
            );
            let tally = tally.clone();
            telemetry.observe(what, move |to| exported(to, &tally.counts(), exporter));
            return;
        }
    };
    let processor = names.processor;
    let counts = tally.clone();
    let what = Observable::counter(
        names.processed,
        names.unit,
        "Items for which the processing has finished, either successful or failed",
    );
    telemetry.observe(what, move |to| {
        let counts = counts.counts();
        record(to, counts.processed, processor, None);
        record(to, counts.dropped, processor, Some("queue_full"));
    });
    let counts = tally.clone();
    let what = Observable::up_down_counter(names.size, names.unit, "Items that wait for export");
    telemetry.observe(what, move |to| record(to, counts.counts().waiting, processor, None));
    let counts = tally.clone();
    let what = Observable::up_down_counter(names.capacity, names.unit, "Items that may wait for export");
    telemetry.observe(what, move |to| record(to, counts.counts().capacity, processor, None));
    let counts = tally.clone();
    let what = Observable::counter(
        names.exported,
        names.unit,
        "Items for which the export has finished, either successful or failed",
    );
    telemetry.observe(what, move |to| exported(to, &counts.counts(), exporter));
}

fn exported(to: &Observer<'_>, counts: &Counts, exporter: &'static str) {
    record(to, counts.delivered, exporter, None);
    record(to, counts.rejected, exporter, Some("rejected"));
    record(to, counts.failed, exporter, Some("_OTHER"));
}

/// Failures are exported from 0 on: a counter that first appears with its first failure never grows, and
/// Prometheus' `increase` misses that failure.
fn record(to: &Observer<'_>, count: u64, component: &'static str, error: Option<&'static str>) {
    to.record(count as f64, |attributes| {
        attributes.set("otel.component.name", format!("{component}/0"));
        attributes.set("otel.component.type", component);
        if let Some(error) = error {
            attributes.set(semconv::ERROR_TYPE, error);
        }
    });
}

fn exporter(kind: Kind, protocol: Protocol) -> &'static str {
    match (kind, protocol) {
        (Kind::Traces, Protocol::Grpc) => "otlp_grpc_span_exporter",
        (Kind::Traces, Protocol::HttpProtobuf) => "otlp_http_span_exporter",
        (Kind::Metrics, Protocol::Grpc) => "otlp_grpc_metric_exporter",
        (Kind::Metrics, Protocol::HttpProtobuf) => "otlp_http_metric_exporter",
        (Kind::Logs, Protocol::Grpc) => "otlp_grpc_log_exporter",
        (Kind::Logs, Protocol::HttpProtobuf) => "otlp_http_log_exporter",
    }
}
