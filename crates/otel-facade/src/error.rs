//! Errors of the start and the shutdown.

use std::time::Duration;

/// Telemetry could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The exporters' thread could not be started.
    #[error("no thread for the exporters")]
    Thread(#[from] std::io::Error),
    /// The log filter is not understood.
    #[error("the log filter `{0}` is not understood; write a level, or `level,module=level`")]
    LogFilter(String),
    /// The process has a `tracing` subscriber already.
    #[error("a log subscriber is installed already; leave `Config::log` unset")]
    LogInstalled,
}

/// Some of the recorded telemetry may not have arrived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Spans were dropped or refused during the life of the process.
    #[error("{lost} of {ended} spans were not delivered")]
    SpansLost {
        /// Items that did not arrive.
        lost: u64,
        /// Items that were recorded.
        ended: u64,
    },
    /// Log lines were dropped or refused during the life of the process.
    #[error("{lost} of {ended} log lines were not delivered")]
    LogsLost {
        /// Items that did not arrive.
        lost: u64,
        /// Items that were recorded.
        ended: u64,
    },
    /// The last metrics were not delivered.
    #[error("the last metrics were not delivered")]
    MetricsLost,
    /// The receiver did not answer in time.
    #[error("the receiver did not answer within {deadline:?}; {lost} of {ended} spans were not delivered")]
    Deadline {
        /// The deadline.
        deadline: Duration,
        /// Spans that did not arrive so far.
        lost: u64,
        /// Items that were recorded.
        ended: u64,
    },
}
