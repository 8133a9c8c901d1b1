//! The start and the shutdown of telemetry.

use std::time::{Duration, Instant};

use tracing::warn;

use crate::{COMPILED, Config, ShutdownError, StartError, Telemetry, flush_lines, imp, log};

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

    /// Sends all waiting items, stops the exporters, and writes the waiting log lines, within the deadline.
    /// Everything recorded later is dropped. For log lines that are written later, see [`flush_lines`].
    ///
    /// # Errors
    /// [`ShutdownError`] with what was lost, now and earlier.
    pub async fn shutdown(self, deadline: Duration) -> Result<(), ShutdownError> {
        let until = Instant::now() + deadline;
        let result = self.0.shutdown(deadline).await;
        flush_lines(until.saturating_duration_since(Instant::now()));
        result
    }
}
