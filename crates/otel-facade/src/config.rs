//! What to record and where to send it, from the standard `OTEL_*` variables. A variable that is not supported gives a
//! warning.

mod limits;
mod program;
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
pub use program::{LogNames, Program};
pub use propagators::Propagators;
pub use sampler::{Root, Sampler};
pub use signal::{Compression, Exporter, Headers, Protocol, Signal, Tls};

use reader::Reader;

/// The configuration of telemetry; the same fields in every build.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Whether anything is recorded. Default: false. `OTEL_ENABLED`; `OTEL_SDK_DISABLED=true` wins.
    pub enabled: bool,
    /// The program that records. Default: one that is not known.
    pub program: Option<Program>,
    /// `service.name`. Default: the program's name, else `unknown_service:` and the name of the executable.
    /// `OTEL_SERVICE_NAME`, else in `OTEL_RESOURCE_ATTRIBUTES`.
    pub service_name: String,
    /// `service.version`. Default: the program's, else none.
    pub service_version: Option<&'static str>,
    /// Further attributes of the resource. `OTEL_RESOURCE_ATTRIBUTES`, percent-decoded.
    pub resource: Vec<(String, String)>,
    /// Where spans go. `OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_[TRACES_]*`.
    pub traces: Signal,
    /// Where metrics go. `OTEL_METRICS_EXPORTER`, `OTEL_EXPORTER_OTLP_[METRICS_]*`.
    pub metrics: Signal,
    /// Where log lines go besides standard error. Default: nowhere. `OTEL_LOGS_EXPORTER`,
    /// `OTEL_EXPORTER_OTLP_[LOGS_]*`.
    pub logs: Signal,
    /// Whether a Prometheus server can fetch the metrics. Default: false.
    /// `OTEL_METRICS_EXPORTER=prometheus` or `otlp,prometheus`.
    pub prometheus: bool,
    /// Which traces are recorded. Default: all that no parent has decided on. `OTEL_TRACES_SAMPLER[_ARG]`.
    pub sampler: Sampler,
    /// The limits of a span and of a log line. `OTEL_*_LIMIT`.
    pub limits: Limits,
    /// The queue of ended spans. Default: 14336, since the specification's 2048 lose spans at a few thousand spans a
    /// second; 512 a batch; 5 s. `OTEL_BSP_*`.
    pub span_queue: Queue,
    /// The queue of log lines. Default: 2048; 512 a batch; 1 s. `OTEL_BLRP_*`.
    pub log_queue: Queue,
    /// How often metrics are sent. Default: 60 s. `OTEL_METRIC_EXPORT_INTERVAL`, in milliseconds.
    pub metric_interval: Duration,
    /// Whether sums count from the start or from the last export.
    /// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
    pub temporality: Temporality,
    /// Which context is read and passed on, in every build and also with telemetry off. `OTEL_PROPAGATORS`.
    pub propagators: Propagators,
    /// Whether `tracing` spans of libraries become spans too, through `tracing-opentelemetry`. Costly.
    /// Default: false. [`Program::internals_variable`].
    pub internals: bool,
    /// The level of the SDK's own messages that are logged. Default: `None`, nothing, since this crate logs one line for
    /// each change of a receiver's state. `OTEL_LOG_LEVEL`.
    pub sdk_log: Option<&'static str>,
    /// The log subscriber to install. Default: `None`, the program has its own or none.
    pub log: Option<Log>,
    /// Variables that cannot be used, one sentence each; [`start`](crate::start) logs them.
    pub warnings: Vec<String>,
}

/// A queue of items that wait for their export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// Items that wait at most. Further ones are dropped.
    pub capacity: usize,
    /// Items of a batch at most.
    pub batch: usize,
    /// How long the first item of a batch waits for others.
    pub delay: Duration,
}

/// The time that a sum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Temporality {
    /// Sums cover the time since the start of the process. The default.
    Cumulative,
    /// Counters and histograms cover the time since the last export.
    Delta,
    /// As delta, except for observable instruments, which stay cumulative and need no memory.
    LowMemory,
}

/// How log lines are written, to standard error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Log {
    /// The format of a line.
    pub format: LogFormat,
    /// The least level, and exceptions by module: `info`, `info,my_program=debug`.
    pub filter: String,
}

impl Log {
    /// Lines of this format, with this filter.
    pub fn new(format: LogFormat, filter: impl Into<String>) -> Self {
        Self { format, filter: filter.into() }
    }
}

/// Who reads the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl Config {
    /// Reads the environment of the process. A value that cannot be used leaves the default, with a sentence in
    /// [`warnings`](Config::warnings).
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads the environment of the process, for a program with its own names.
    pub fn of(program: Program) -> Self {
        Self::read(Some(program), &|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere. An empty value counts as unset (OpenTelemetry specification,
    /// "Environment Variable Specification", §Parsing empty value).
    ///
    /// With telemetry off, only the switch itself and the propagators give warnings: the propagators apply also then.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self::read(None, &lookup)
    }

    /// Reads variables from anywhere, for a program with its own names.
    pub fn of_lookup(program: Program, lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self::read(Some(program), &lookup)
    }

    fn read(program: Option<Program>, lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader::new(lookup);
        let enabled = reader.enabled();
        let propagators = reader.propagators();
        let always_given = reader.warnings.len();
        let (service_name, resource) = reader.resource();
        let mut config = Self {
            enabled,
            program,
            service_name: service_name.unwrap_or_else(|| resource::default_name(program)),
            service_version: program.map(|program| program.version),
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
            internals: program
                .and_then(|program| program.internals_variable)
                .is_some_and(|variable| reader.switch(variable)),
            sdk_log: reader.sdk_log(),
            log: None,
            warnings: vec![],
        };
        reader.warn_of_unsupported(config.prometheus.then(|| program::metrics_hint(program)));
        if !enabled {
            reader.warnings.truncate(always_given);
            reader.warn_if_off_by_oversight();
        }
        config.warnings = reader.warnings;
        config
    }
}
