//! Notices that this process did not run for a while, as when it was paused or got no processor.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Logs each stall that takes a heartbeat's time, until stopped.
pub(crate) async fn run(lease: Duration, stop: CancellationToken) {
    let tick = (lease / 6).min(Duration::from_secs(1));
    loop {
        let slept = Instant::now();
        tokio::select! {
            () = tokio::time::sleep(tick) => {}
            () = stop.cancelled() => return,
        }
        let stalled = slept.elapsed().saturating_sub(tick);
        if stalled > stall_min(lease) {
            warn!(
                ?stalled,
                ?lease,
                "this worker did not run for a while: was it paused, or without a processor? \
                 Jobs whose lease ran out are another worker's now"
            );
        }
    }
}

/// A shorter pause costs no heartbeat.
pub(super) fn stall_min(lease: Duration) -> Duration {
    lease / 3
}
