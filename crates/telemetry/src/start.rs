//! Telemetry's beginning and end.

use std::time::Duration;

use tracing::warn;

use crate::{COMPILED, Config, ShutdownError, StartError, Telemetry, imp, log};

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
