//! The signals that end a program: after the first, it waits for requests in flight; after the second, it
//! does not.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Tokens that the signals cancel.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled by the first SIGTERM or SIGINT.
    pub stop: CancellationToken,
    /// Cancelled by the second one.
    pub hurry: CancellationToken,
}

/// Listens for signals from now on.
///
/// # Errors
/// If the system installs no signal handler.
pub fn listen() -> std::io::Result<Shutdown> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = Shutdown::default();
    let told = shutdown.clone();
    // Runs until the program ends. A third signal has no effect.
    tokio::spawn(async move {
        for token in [told.stop, told.hurry] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            token.cancel();
        }
        warn!("received a second signal: not waiting for requests in flight any more");
    });
    Ok(shutdown)
}
