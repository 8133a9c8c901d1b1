//! Spans, metrics and context propagation behind one facade.
//!
//! With the Cargo feature `otel` the facade records with OpenTelemetry and exports over OTLP; without it every
//! handle has size 0 and every call compiles to nothing. The signatures are the same in both builds, so that
//! calling code needs no `cfg`. [`COMPILED`] is true in the first.
//!
//! ```
//! use otel_facade::{Config, SpanKind, Telemetry};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let running = otel_facade::start(Config::from_env())?;
//! let telemetry = running.handle();
//! {
//!     let span = telemetry
//!         .span(SpanKind::Internal, "tidy up")
//!         .start(|attributes| attributes.set("app.room", "kitchen"));
//!     span.set("app.plates", 4_i64);
//! } // the span ends here
//! running.shutdown(std::time::Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! It never fails, blocks or slows the program. Only [`start`], [`Running::shutdown`] and [`Prometheus::text`] return a
//! `Result`.

mod attributes;
mod config;
mod context;
mod error;
mod error_type;
mod guard;
mod intern;
mod log;
mod log_context;
mod metric;
mod observable;
mod prometheus;
pub mod semconv;
mod span;
mod start;
mod suppression;
mod value;

#[cfg(not(feature = "otel"))]
mod noop;
#[cfg(not(feature = "otel"))]
use noop as imp;

#[cfg(feature = "otel")]
mod otel;
#[cfg(feature = "otel")]
use otel as imp;

use std::borrow::Cow;

pub use attributes::Attributes;
pub use config::{
    Compression, Config, Exporter, Headers, Limits, Log, LogFormat, LogNames, Program, Propagators, Protocol,
    Queue, Root, Sampler, Signal, Temporality, Tls,
};
pub use context::{Carrier, Context};
pub use error::{ShutdownError, StartError};
pub use error_type::ErrorType;
pub use guard::guarded;
pub use intern::intern;
pub use log::{Escape, flush_lines, is_unprintable, print_line, printable};
pub use log_context::{LogContext, about, belongs_to};
pub use metric::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Gauge, Histogram, Timer, UpDownCounter,
};
pub use observable::{Observable, Observer};
pub use prometheus::Prometheus;
pub use span::{Entered, Span, SpanBuilder, SpanKind};
pub use start::{Running, start};
pub use suppression::{Suppressed, is_suppressed, suppress, suppressed};
pub use value::Value;

/// Whether OpenTelemetry is compiled in (the Cargo feature `otel`).
pub const COMPILED: bool = imp::COMPILED;

/// Starts spans and creates instruments. Cheap to clone; with telemetry off, a null pointer.
#[derive(Clone, Debug)]
pub struct Telemetry(imp::Telemetry);

impl Telemetry {
    /// Records nothing, in any build.
    pub fn disabled() -> Self {
        Self(imp::Telemetry::disabled())
    }

    /// Records with the tracer and meter providers that the process has set as OpenTelemetry's global ones,
    /// whichever part of the process did so. Without such providers, nothing is recorded.
    pub fn global() -> Self {
        Self(imp::Telemetry::global())
    }

    /// Records under another name, as an instrumentation library does with its package's name and version: spans and
    /// metrics carry it as their instrumentation scope. Default: [`Program::name`], else this package's name.
    #[must_use]
    pub fn scoped(&self, name: &'static str, version: &'static str) -> Self {
        Self(self.0.scoped(name, version))
    }

    /// Whether anything may be recorded. Always false without the feature `otel`, so that it can guard code that only
    /// telemetry needs.
    pub fn is_on(&self) -> bool {
        self.0.is_on()
    }

    /// Describes a span of this kind. The name must be of low cardinality: no id, no path, no address.
    /// The span begins with [`SpanBuilder::start`].
    pub fn span(&self, kind: SpanKind, name: impl Into<Cow<'static, str>>) -> SpanBuilder<'_> {
        SpanBuilder::new(&self.0, kind, name.into())
    }

    /// The remote context of a carrier, with the parts that [`Config::propagators`] allows. While telemetry is off, none,
    /// and the carrier is not read.
    pub fn extract(&self, carrier: &dyn Carrier) -> Context {
        Context(self.0.extract(carrier))
    }

    /// The metrics that a Prometheus server can fetch; `None` unless `OTEL_METRICS_EXPORTER` names `prometheus` and
    /// telemetry is on. Always `None` without the feature `otel`.
    pub fn prometheus(&self) -> Option<Prometheus> {
        self.0.prometheus().map(Prometheus)
    }

    /// A histogram with explicit bucket bounds, in the instrument's unit (UCUM, as `s`).
    pub fn histogram(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        bounds: &[f64],
    ) -> Histogram {
        Histogram(self.0.histogram(name, unit, description, bounds))
    }

    /// A sum that only grows. The unit is UCUM, as `{request}`.
    pub fn counter(&self, name: &'static str, unit: &'static str, description: &'static str) -> Counter {
        Counter(self.0.counter(name, unit, description))
    }

    /// A sum that grows and shrinks. The unit is UCUM, as `{connection}`.
    pub fn up_down_counter(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> UpDownCounter {
        UpDownCounter(self.0.up_down_counter(name, unit, description))
    }

    /// An instrument whose values the callback records each time metrics are collected, as long as telemetry runs. The
    /// callback runs on a thread of the exporter, must not wait, and should only read values in memory (atomics). If it
    /// panics, only its own values are missing.
    pub fn observe(&self, what: Observable, callback: impl Fn(&Observer<'_>) + Send + Sync + 'static) {
        self.0.observe(what, callback);
    }

    /// A value that keeps what it was last set to. The unit is UCUM, as `By`.
    pub fn gauge(&self, name: &'static str, unit: &'static str, description: &'static str) -> Gauge {
        Gauge(self.0.gauge(name, unit, description))
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
