//! What can go wrong at the beginning and at the end.

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

/// What was recorded may not have arrived whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Spans were dropped or refused during the life of the process.
    #[error("{lost} of {ended} spans were not delivered")]
    SpansLost {
        /// How many did not arrive.
        lost: u64,
        /// How many there were.
        ended: u64,
    },
    /// Log lines were dropped or refused during the life of the process.
    #[error("{lost} of {ended} log lines were not delivered")]
    LogsLost {
        /// How many did not arrive.
        lost: u64,
        /// How many there were.
        ended: u64,
    },
    /// The last metrics were not delivered.
    #[error("the last metrics were not delivered")]
    MetricsLost,
    /// The receiver did not answer in time.
    #[error("the receiver did not answer within {deadline:?}; {lost} of {ended} spans were not delivered")]
    Deadline {
        /// How long was waited.
        deadline: Duration,
        /// How many spans did not arrive so far.
        lost: u64,
        /// How many there were.
        ended: u64,
    },
}
