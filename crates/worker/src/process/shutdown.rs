//! The signals that end a program: after the first, it waits for requests in flight; after the second, it
//! does not.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Tokens that the signals cancel.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled by the first SIGTERM or SIGINT, and by SIGHUP where it has no other meaning.
    pub stop: CancellationToken,
    /// Cancelled by the second one, and by SIGQUIT.
    pub second_signal: CancellationToken,
}

/// Listens for signals from now on. SIGUSR1 and SIGUSR2 would end the process; they are ignored. With `hangup`, SIGHUP
/// notifies it and ends nothing.
///
/// # Errors
/// If the system installs no signal handler.
pub fn listen(hangup: Option<Arc<Notify>>) -> std::io::Result<Shutdown> {
    let on = |kinds: [SignalKind; 3]| -> std::io::Result<_> {
        let [one, two, three] = kinds;
        Ok((signal(one)?, signal(two)?, signal(three)?))
    };
    let (mut term, mut int, mut hang) =
        on([SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()])?;
    let (mut quit, mut user1, mut user2) =
        on([SignalKind::quit(), SignalKind::user_defined1(), SignalKind::user_defined2()])?;
    let shutdown = Shutdown::default();
    let on_signal = shutdown.clone();
    // Runs until the program ends. A third signal has no effect.
    tokio::spawn(async move {
        while !on_signal.second_signal.is_cancelled() {
            let is_last = on_signal.stop.is_cancelled();
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
                _ = hang.recv() => {
                    if let Some(hangup) = &hangup {
                        hangup.notify_one();
                        continue;
                    }
                }
                _ = quit.recv() => on_signal.second_signal.cancel(),
                _ = user1.recv() => { info!("SIGUSR1 is ignored"); continue }
                _ = user2.recv() => { info!("SIGUSR2 is ignored"); continue }
            }
            on_signal.stop.cancel();
            if is_last {
                on_signal.second_signal.cancel();
            }
        }
        warn!("received SIGQUIT or a second signal: not waiting for requests in flight any more");
    });
    Ok(shutdown)
}
