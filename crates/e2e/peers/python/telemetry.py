"""Spans and metrics, exported over OTLP by OpenTelemetry's SDK, which reads its environment variables."""

import os


def start(instrument):
    """Calls `instrument`, and returns what exports the rest at the end. Does nothing unless OTEL_EXPORTER_OTLP_ENDPOINT is set."""
    if "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ:
        return lambda: None
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(spans)
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    metrics.set_meter_provider(meters)
    instrument()

    def stop():
        spans.shutdown()
        meters.shutdown()

    return stop
