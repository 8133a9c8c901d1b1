"""The task: a POST with requests, by one session that keeps its connections."""

import os

import requests
from celery import Celery, signals
from requests.adapters import HTTPAdapter

app = Celery("tasks")
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    # Threads acknowledge at the same time.
    broker_transport_options={"max_connections": 100},
)
http = requests.Session()
http.mount("http://", HTTPAdapter(pool_maxsize=64))
# Otherwise each request looks for proxies in the environment.
http.trust_env = False


@app.task
def deliver(url: str, body: str) -> None:
    http.post(url, data=body).raise_for_status()


@signals.worker_init.connect
def start_telemetry(**_) -> None:
    """Spans and metrics by the instrumentations of Celery and requests, if OTEL_EXPORTER_OTLP_ENDPOINT is set."""
    if "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ:
        return
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(spans)
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
    metrics.set_meter_provider(meters)
    CeleryInstrumentor().instrument()
    RequestsInstrumentor().instrument()

    @signals.worker_shutdown.connect(weak=False)
    def stop(**_) -> None:
        spans.shutdown()
        meters.shutdown()
