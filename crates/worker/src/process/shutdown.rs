//! The signals that end a program: the first stops it in order, the second hurries it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// What signals ask for.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// A first SIGTERM or SIGINT came.
    pub stop: CancellationToken,
    /// A second one came.
    pub hurry: CancellationToken,
}

/// Listens for signals from now on.
///
/// # Errors
/// Where the system gives no signal handler.
pub fn listen() -> std::io::Result<Shutdown> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = Shutdown::default();
    let told = shutdown.clone();
    // Ends with the program: a third signal finds nothing left to hurry.
    tokio::spawn(async move {
        for token in [told.stop, told.hurry] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            token.cancel();
        }
        warn!("a second signal: hurrying");
    });
    Ok(shutdown)
}
