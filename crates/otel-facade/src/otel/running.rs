//! Starts providers, and shuts them down within a deadline.
//!
//! The exporters have their own runtime with one thread. On the program's runtime they would need it while it waits
//! for them: a shutdown on a runtime of one thread would deliver nothing and take the whole timeout.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets, filter_fn};

use super::exporter::Kind;
use super::providers::Workshop;
use super::resource::resource;
use super::self_observation::observe;
use super::tally::Tally;
use super::{Telemetry, VERSION, logs, scope_of};
use crate::Config;
use crate::error::{ShutdownError, StartError};
use crate::log::BoxedLayer;

#[derive(Debug)]
pub(crate) struct Running(Option<Providers>);

#[derive(Debug)]
struct Providers {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: Option<SdkLoggerProvider>,
    spans: Option<Arc<Tally>>,
    lines: Option<Arc<Tally>>,
    telemetry: Telemetry,
    warnings: Vec<String>,
    closing: watch::Sender<bool>,
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
            // Telemetry of the exporters' own libraries must not be exported.
            .on_thread_start(|| {
                std::mem::forget(opentelemetry::Context::enter_telemetry_suppressed_scope());
            })
            .build()?;
        let (closing, closed) = watch::channel(false);
        let mut workshop = Workshop {
            config,
            resource: resource(config),
            runtime: runtime.handle().clone(),
            closing: closed,
            warnings: vec![],
        };
        let (traces, (metrics, prometheus), logs) = (workshop.traces(), workshop.metrics(), workshop.logs());
        let warnings = workshop.warnings;
        let telemetry = Telemetry::sdk(config, &traces.provider, &metrics.provider, prometheus);
        let lines = logs.as_ref().and_then(|logs| logs.tally.clone());
        let signals = [
            (Kind::Traces, config.traces.protocol, &traces.tally),
            (Kind::Metrics, config.metrics.protocol, &metrics.tally),
            (Kind::Logs, config.logs.protocol, &lines),
        ];
        let own = telemetry.scoped(env!("CARGO_PKG_NAME"), VERSION);
        for (kind, protocol, tally) in signals {
            if let Some(tally) = tally {
                observe(&crate::Telemetry(own.clone()), kind, protocol, tally);
            }
        }
        Ok(Self(Some(Providers {
            traces: traces.provider,
            metrics: metrics.provider,
            logs: logs.map(|logs| logs.provider),
            spans: traces.tally,
            lines,
            telemetry,
            warnings,
            closing,
            runtime,
        })))
    }

    pub(crate) fn handle(&self) -> Telemetry {
        self.0.as_ref().map_or_else(Telemetry::disabled, |providers| providers.telemetry.clone())
    }

    /// Warnings about files that the configuration names.
    pub(crate) fn warnings(&self) -> &[String] {
        self.0.as_ref().map_or(&[], |providers| &providers.warnings)
    }

    /// The layers of the log subscriber that the configuration asks for.
    pub(crate) fn layers(&self, config: &Config, filter: &Targets) -> Vec<BoxedLayer> {
        let Some(providers) = &self.0 else { return vec![] };
        let internals = config.internals.then(|| bridge(&providers.traces, config));
        let logs = providers.logs.as_ref().map(|provider| logs::layer(provider, config, filter.clone()));
        internals.into_iter().chain(logs).collect()
    }

    /// Flushes first, since the SDK's shutdown does not report what arrived. Each signal has its own thread, so that a
    /// hanging one costs the deadline once and never blocks the program.
    pub(crate) async fn shutdown(self, deadline: Duration) -> Result<(), ShutdownError> {
        let Some(Providers { traces, metrics, logs, spans, lines, telemetry, closing, runtime, .. }) = self.0
        else {
            return Ok(());
        };
        drop(telemetry);
        // From now on retries end soon.
        closing.send_replace(true);
        let traces_done = on_thread("otel-traces-end", move || {
            let _ = traces.force_flush();
            let _ = traces.shutdown_with_timeout(deadline);
        });
        let logs_done = on_thread("otel-logs-end", move || {
            if let Some(logs) = logs {
                let _ = logs.force_flush();
                let _ = logs.shutdown_with_timeout(deadline);
            }
        });
        // The reader's shutdown contains the last collection and export, and returns its result.
        let metrics_done = on_thread("otel-metrics-end", move || metrics.shutdown().is_ok());
        let all = async { (traces_done.await, logs_done.await, metrics_done.await) };
        let result = tokio::time::timeout(deadline, all).await;
        runtime.shutdown_background();
        let count =
            |tally: &Option<Arc<Tally>>| tally.as_ref().map_or((0, 0), |tally| (tally.lost(), tally.ended()));
        let ((lost, ended), (lost_lines, lines)) = (count(&spans), count(&lines));
        match result {
            Err(_) => Err(ShutdownError::Deadline { deadline, lost, ended }),
            Ok(_) if lost > 0 => Err(ShutdownError::SpansLost { lost, ended }),
            Ok((_, _, metrics)) if metrics != Ok(true) => Err(ShutdownError::MetricsLost),
            Ok(_) if lost_lines > 0 => Err(ShutdownError::LogsLost { lost: lost_lines, ended: lines }),
            Ok(_) => Ok(()),
        }
    }
}

/// The layer that turns `tracing` spans of libraries into spans. It shares one current context with other spans, in
/// both directions, as long as context activation stays on, which is its default. Its attributes of time, place
/// and thread have no namespace; they are left out, as are events, which are log lines.
fn bridge(traces: &SdkTracerProvider, config: &Config) -> BoxedLayer {
    let libraries = Targets::new()
        .with_default(LevelFilter::DEBUG)
        // The exporters' own spans must not be exported.
        .with_targets(
            ["opentelemetry", "opentelemetry_sdk", "opentelemetry-otlp", "tonic", "tower", "h2"]
                .map(|target| (target, LevelFilter::OFF)),
        );
    // Without the hint, spans and events of all levels would be enabled.
    let spans = filter_fn(|metadata| metadata.is_span()).with_max_level_hint(LevelFilter::DEBUG);
    tracing_opentelemetry::layer()
        .with_tracer(traces.tracer_with_scope(scope_of(config)))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_filter(libraries.and(spans))
        .boxed()
}

/// Runs blocking work on a thread that is not joined.
fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, receiver) = oneshot::channel();
    // If no thread can be started, the sender is dropped and the receiver returns an error.
    let _ = std::thread::Builder::new().name(name.to_owned()).spawn(move || done.send(work()).is_ok());
    receiver
}
