//! Repeats the settlements that Redis has not taken.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::delivery::settlement::Settlements;

/// Repeats settlements until no further job will end and all are settled, or until the worker's time to shut
/// down is over.
pub(crate) async fn run(settlements: Arc<Settlements>, drained: CancellationToken) {
    let Settlements { unsettled, cut, .. } = &*settlements;
    loop {
        tokio::select! {
            () = cut.cancelled() => return,
            waiting = unsettled.due() => settlements.repeat(waiting).await,
            () = drained.cancelled(), if unsettled.is_empty() => return,
        }
    }
}
