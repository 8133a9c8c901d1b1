//! What to record and where to send it, from the standard `OTEL_*` variables. Which of them are honoured and
//! which are refused stands in `docs/telemetry-variables.md`, row by row.

mod limits;
mod propagators;
mod reader;
mod resource;
mod sampler;
mod signal;
#[cfg(test)]
mod tests;
mod unsupported;

use std::time::Duration;

pub use limits::Limits;
pub use propagators::Propagators;
pub use sampler::{Root, Sampler};
pub use signal::{Compression, Exporter, Headers, Protocol, Signal, Tls};

use reader::Reader;

/// The configuration of telemetry; the same fields in every build.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether anything is recorded. Default: false. `OTEL_ENABLED`; `OTEL_SDK_DISABLED=true` wins.
    pub enabled: bool,
    /// `service.name`. Default: `postrider`. `OTEL_SERVICE_NAME`, else in `OTEL_RESOURCE_ATTRIBUTES`.
    pub service_name: String,
    /// `service.version`. Default: none.
    pub service_version: Option<&'static str>,
    /// Further attributes of the resource. `OTEL_RESOURCE_ATTRIBUTES`, percent-decoded.
    pub resource: Vec<(String, String)>,
    /// Where spans go. `OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_[TRACES_]*`.
    pub traces: Signal,
    /// Where metrics go. `OTEL_METRICS_EXPORTER`, `OTEL_EXPORTER_OTLP_[METRICS_]*`.
    pub metrics: Signal,
    /// Where log lines go besides standard error: nowhere, by default. `OTEL_LOGS_EXPORTER`,
    /// `OTEL_EXPORTER_OTLP_[LOGS_]*`.
    pub logs: Signal,
    /// Whether metrics are held ready for a Prometheus server to fetch. Default: false.
    /// `OTEL_METRICS_EXPORTER=prometheus` or `otlp,prometheus`.
    pub prometheus: bool,
    /// Which traces are recorded. Default: all that no parent has decided on. `OTEL_TRACES_SAMPLER[_ARG]`.
    pub sampler: Sampler,
    /// How much a span and a log line may hold. `OTEL_*_LIMIT`.
    pub limits: Limits,
    /// How ended spans wait. Default: 14336, since the specification's 2048 lose spans at a few thousand jobs a
    /// second; 512 a batch; 5 s. `OTEL_BSP_*`.
    pub span_queue: Queue,
    /// How log lines wait. Default: 2048; 512 a batch; 1 s. `OTEL_BLRP_*`.
    pub log_queue: Queue,
    /// How often metrics are sent. Default: 60 s. `OTEL_METRIC_EXPORT_INTERVAL`, in milliseconds.
    pub metric_interval: Duration,
    /// Whether sums count from the start or from the export before.
    /// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
    pub temporality: Temporality,
    /// Which context is read and handed on, in every build and also with telemetry off. `OTEL_PROPAGATORS`.
    pub propagators: Propagators,
    /// Whether `tracing` spans of libraries become spans too, through `tracing-opentelemetry`. Costly.
    /// Default: false. `POSTRIDER_TRACE_INTERNALS`.
    pub internals: bool,
    /// What is logged of the SDK's own messages: a level. Default: `None`, nothing, since what is not delivered
    /// is said once for each change of state. `OTEL_LOG_LEVEL`.
    pub sdk_log: Option<&'static str>,
    /// How log lines are written. Default: `None`, the program has a subscriber of its own or none.
    pub log: Option<Log>,
    /// What was odd in the environment, a sentence each; [`start`](crate::start) logs them.
    pub warnings: Vec<String>,
}

/// How what was recorded waits for its export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many wait before new ones are dropped.
    pub capacity: usize,
    /// How many are sent at once, at most.
    pub batch: usize,
    /// How long the first of a batch waits for others.
    pub delay: Duration,
}

/// From when a sum counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// From the start of the process. The default.
    Cumulative,
    /// Counters and histograms from the export before.
    Delta,
    /// As delta, but what is observed stays cumulative, and so needs no memory.
    LowMemory,
}

/// How log lines are written, to standard error.
#[derive(Clone, Debug)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// The least level, and exceptions by module: `info`, `info,postrider=debug`.
    pub filter: String,
}

/// For whom log lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl Config {
    /// Reads the environment of the process. A value that cannot be used is left at its default, and a
    /// sentence about it stands in [`warnings`](Config::warnings).
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere. An empty value counts as unset (OpenTelemetry specification,
    /// "Environment Variable Specification", §Parsing empty value).
    ///
    /// With telemetry off there are warnings only of the switch itself and of propagators, which rule all the
    /// same what is handed on.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader::new(&lookup);
        let enabled = reader.enabled();
        let propagators = reader.propagators();
        let said_in_any_case = reader.warnings.len();
        let (service_name, resource) = reader.resource();
        let mut config = Self {
            enabled,
            service_name,
            service_version: None,
            resource,
            traces: reader.signal("TRACES", "OTEL_BSP_EXPORT_TIMEOUT"),
            metrics: reader.signal("METRICS", "OTEL_METRIC_EXPORT_TIMEOUT"),
            logs: reader.signal("LOGS", "OTEL_BLRP_EXPORT_TIMEOUT"),
            prometheus: reader.prometheus(),
            sampler: reader.sampler(),
            limits: reader.limits(),
            span_queue: reader.queue("BSP", 14_336, Duration::from_secs(5)),
            log_queue: reader.queue("BLRP", 2048, Duration::from_secs(1)),
            metric_interval: reader.millis("OTEL_METRIC_EXPORT_INTERVAL", Duration::from_secs(60)),
            temporality: reader.temporality(),
            propagators,
            internals: reader.switch("POSTRIDER_TRACE_INTERNALS"),
            sdk_log: reader.sdk_log(),
            log: None,
            warnings: vec![],
        };
        reader.warn_of_unsupported(config.prometheus);
        if !enabled {
            reader.warnings.truncate(said_in_any_case);
            reader.warn_if_off_by_oversight();
        }
        config.warnings = reader.warnings;
        config
    }
}
