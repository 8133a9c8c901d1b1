//! Spans and metrics, exported over OTLP gRPC as `opentelemetry-otlp` does by its environment variables.

use std::time::Instant;

use opentelemetry::propagation::{Injector, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response};
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::AnyError;

pub(crate) struct Telemetry {
    spans: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

/// `None` if `OTEL_EXPORTER_OTLP_ENDPOINT` is not set.
pub(crate) fn start() -> Result<Option<Telemetry>, AnyError> {
    if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
        return Ok(None);
    }
    let spans = SdkTracerProvider::builder()
        .with_batch_exporter(SpanExporter::builder().with_tonic().build()?)
        .build();
    let metrics = SdkMeterProvider::builder()
        .with_periodic_exporter(MetricExporter::builder().with_tonic().build()?)
        .build();
    global::set_meter_provider(metrics.clone());
    global::set_text_map_propagator(TraceContextPropagator::new());
    let layer =
        tracing_opentelemetry::layer().with_tracer(spans.tracer("peer")).with_filter(LevelFilter::INFO);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Some(Telemetry { spans, metrics }))
}

impl Telemetry {
    /// Exports what is left.
    pub(crate) fn stop(self) {
        for result in [self.spans.shutdown(), self.metrics.shutdown()] {
            if let Err(error) = result {
                eprintln!("telemetry: {error}");
            }
        }
    }
}

/// Sends a request in a span, with its context in the headers. `reqwest-tracing` does the same, but not yet for this version of
/// OpenTelemetry.
pub(crate) async fn traced(http: &Client, mut request: Request) -> Result<Response, AnyError> {
    let url = request.url();
    let span = tracing::info_span!(
        "HTTP request",
        "otel.name" = "POST",
        "otel.kind" = "client",
        "http.request.method" = "POST",
        "server.address" = url.host_str(),
        "server.port" = url.port_or_known_default(),
        "url.full" = url.as_str(),
        "http.response.status_code" = field::Empty,
    );
    TraceContextPropagator::new().inject_context(&span.context(), &mut Headers(request.headers_mut()));
    let start = Instant::now();
    let response = http.execute(request).instrument(span.clone()).await?;
    answered(&span, &response, start);
    Ok(response)
}

fn answered(span: &Span, response: &Response, start: Instant) {
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    let attributes = [
        KeyValue::new("http.request.method", "POST"),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ];
    DURATION.with(|duration| duration.record(start.elapsed().as_secs_f64(), &attributes));
}

thread_local! {
    static DURATION: opentelemetry::metrics::Histogram<f64> =
        global::meter("peer").f64_histogram("http.client.request.duration").with_unit("s").build();
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        let header = HeaderName::try_from(key).ok().zip(HeaderValue::try_from(value).ok());
        self.0.extend(header);
    }
}
