//! Telemetry's beginning and end.

use std::time::Duration;

use tracing::warn;

use crate::{COMPILED, Config, Telemetry, imp, log};

/// Telemetry could not be started.
#[derive(Debug, thiserror::Error)]
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

/// Telemetry that has been started. Give [`Running::handle`] to what records, and call
/// [`Running::shutdown`] last: what is only dropped does not flush.
#[derive(Debug)]
#[must_use = "without `shutdown` the last spans and metrics are lost"]
pub struct Running(imp::Running);

/// Starts telemetry by its configuration; with [`Config::log`], installs the log subscriber first. Logs
/// [`Config::warnings`], and once where telemetry is asked for but not compiled in.
///
/// Exporters run on a thread of their own, so it matters not whether or where a tokio runtime runs.
///
/// # Errors
/// See [`StartError`]. A receiver that cannot be reached is no error, nor is a certificate that cannot be read: the
/// signal is not sent then, and a warning says so.
pub fn start(config: Config) -> Result<Running, StartError> {
    let running = imp::Running::start(&config)?;
    if let Some(log) = &config.log {
        let layers = running.layers(&config, &log::filter(log, &config)?);
        log::install(log, &config, layers)?;
    }
    for warning in config.warnings.iter().chain(running.warnings()) {
        warn!("{warning}");
    }
    if config.enabled && !COMPILED {
        warn!(
            "OTEL_ENABLED is set, but telemetry is not compiled into this build; build with `--features otel`"
        );
    }
    Ok(Running(running))
}

impl Running {
    /// The handle to record with.
    pub fn handle(&self) -> Telemetry {
        Telemetry(self.0.handle())
    }

    /// Sends what is still to be sent and stops the exporters, within the deadline. What is recorded from
    /// then on is dropped.
    ///
    /// # Errors
    /// [`ShutdownError`] says what was lost, now and earlier.
    pub async fn shutdown(self, deadline: Duration) -> Result<(), ShutdownError> {
        self.0.shutdown(deadline).await
    }
}
