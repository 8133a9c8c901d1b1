//! Providers: their start, and an end that keeps its deadline.
//!
//! The exporters live on a runtime of their own, on one thread. Built on the program's runtime they would
//! need it while it waits for them: a shutdown on a runtime of one thread then delivers nothing and takes
//! the whole timeout.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, Registry};

use super::export::{Counts, metric_exporter, span_processor};
use super::resource::resource;
use super::{Prometheus, Telemetry, scope};
use crate::start::{ShutdownError, StartError};
use crate::{Config, Exporter};

#[derive(Debug)]
pub(crate) struct Running(Option<Providers>);

#[derive(Debug)]
struct Providers {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    counts: Arc<Counts>,
    telemetry: Telemetry,
    runtime: Runtime,
}

impl Running {
    pub(crate) fn start(config: &Config) -> Result<Self, StartError> {
        if !config.enabled {
            return Ok(Self(None));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otel-export")
            .enable_all()
            // Whatever the exporters' own libraries record must not be exported in turn.
            .on_thread_start(|| {
                std::mem::forget(opentelemetry::Context::enter_telemetry_suppressed_scope());
            })
            .build()?;
        let counts = Arc::new(Counts::default());
        let (traces, (metrics, prometheus)) = {
            let _guard = runtime.enter();
            (traces(config, &runtime, &counts)?, metrics(config, &runtime)?)
        };
        let (tracer, meter) = (traces.tracer_with_scope(scope()), metrics.meter_with_scope(scope()));
        let telemetry = Telemetry::sdk(tracer, meter, prometheus);
        Ok(Self(Some(Providers { traces, metrics, counts, telemetry, runtime })))
    }

    pub(crate) fn handle(&self) -> Telemetry {
        self.0.as_ref().map_or_else(Telemetry::disabled, |providers| providers.telemetry.clone())
    }

    /// The layer that makes `tracing` spans of libraries ours. It shares one current context with our own
    /// spans, in both directions, as long as context activation stays on, which is its default.
    pub(crate) fn bridge(&self, config: &Config) -> Bridge {
        let providers = self.0.as_ref().filter(|_| config.internals)?;
        let tracer = providers.traces.tracer_with_scope(scope());
        let libraries = Targets::new()
            .with_default(LevelFilter::DEBUG)
            // What exports must not be exported.
            .with_targets(
                ["opentelemetry", "opentelemetry_sdk", "opentelemetry-otlp", "tonic", "tower", "h2"]
                    .map(|target| (target, LevelFilter::OFF)),
            );
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(libraries).boxed())
    }

    /// Flushes first, since the SDK's shutdown does not tell whether anything arrived. Each signal has a
    /// thread, so that one that hangs costs the deadline once and never the program.
    pub(crate) async fn shutdown(self, deadline: Duration) -> Result<(), ShutdownError> {
        let Some(Providers { traces, metrics, counts, telemetry, runtime }) = self.0 else { return Ok(()) };
        drop(telemetry);
        let traces_done = on_thread("otel-traces-end", move || {
            let _ = traces.force_flush();
            let _ = traces.shutdown_with_timeout(deadline);
        });
        // The last collection and export is part of the reader's shutdown, and its result is the answer.
        let metrics_done = on_thread("otel-metrics-end", move || metrics.shutdown().is_ok());
        let both = async { (traces_done.await, metrics_done.await) };
        let result = tokio::time::timeout(deadline, both).await;
        runtime.shutdown_background();
        let (lost, ended) = (counts.lost(), counts.ended());
        match result {
            Err(_) => Err(ShutdownError::Deadline { deadline, lost, ended }),
            Ok(_) if lost > 0 => Err(ShutdownError::SpansLost { lost, ended }),
            Ok((_, metrics)) if metrics != Ok(true) => Err(ShutdownError::MetricsLost),
            Ok(_) => Ok(()),
        }
    }
}

/// Runs what blocks on a thread that nobody needs to join.
fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, receiver) = oneshot::channel();
    // Where no thread can be had, the sender is dropped and the receiver says so.
    let _ = std::thread::Builder::new().name(name.to_owned()).spawn(move || done.send(work()).is_ok());
    receiver
}

fn traces(config: &Config, runtime: &Runtime, counts: &Arc<Counts>) -> Result<SdkTracerProvider, StartError> {
    let builder = SdkTracerProvider::builder().with_resource(resource(config));
    Ok(match config.traces.exporter {
        Exporter::None => builder.with_sampler(opentelemetry_sdk::trace::Sampler::AlwaysOff).build(),
        Exporter::Otlp => {
            builder.with_span_processor(span_processor(config, runtime.handle(), counts)?).build()
        }
    })
}

fn metrics(config: &Config, runtime: &Runtime) -> Result<(SdkMeterProvider, Option<Prometheus>), StartError> {
    let mut builder = SdkMeterProvider::builder().with_resource(resource(config));
    if config.metrics.exporter == Exporter::Otlp {
        let exporter = metric_exporter(&config.metrics, runtime.handle())?;
        builder = builder
            .with_reader(PeriodicReader::builder(exporter).with_interval(config.metric_interval).build());
    }
    let mut prometheus = None;
    if config.prometheus {
        let (registry, reader) =
            Prometheus::new().map_err(|reason| StartError::Exporter { signal: "metrics", reason })?;
        prometheus = Some(registry);
        builder = builder.with_reader(reader);
    }
    Ok((builder.build(), prometheus))
}

/// The bridge from `tracing`, where it is asked for.
pub(crate) type Bridge = Option<Box<dyn Layer<Registry> + Send + Sync>>;
