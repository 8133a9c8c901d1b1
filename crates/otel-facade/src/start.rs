//! The start and the shutdown of telemetry.

use std::time::Duration;

use tracing::warn;

use crate::{COMPILED, Config, ShutdownError, StartError, Telemetry, imp, log};

/// Running telemetry. Record with [`Running::handle`], and call
/// [`Running::shutdown`] last: dropping it does not flush.
#[derive(Debug)]
#[must_use = "without `shutdown` the last spans and metrics are lost"]
pub struct Running(imp::Running);

/// Starts telemetry by its configuration; with [`Config::log`], installs the log subscriber first. Logs
/// [`Config::warnings`], and once where telemetry is asked for but not compiled in.
///
/// Exporters run on their own thread, so that no tokio runtime is needed.
///
/// # Errors
/// See [`StartError`]. A receiver that cannot be reached is no error. Neither is a certificate that cannot be read: the
/// signal is not sent then, and a warning is logged.
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

    /// Sends all waiting items and stops the exporters, within the deadline. Everything recorded later is dropped.
    ///
    /// # Errors
    /// [`ShutdownError`] with what was lost, now and earlier.
    pub async fn shutdown(self, deadline: Duration) -> Result<(), ShutdownError> {
        self.0.shutdown(deadline).await
    }
}
