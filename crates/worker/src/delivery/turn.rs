//! The turn of an ordered job, before anything else is done for it.

use postrider_queue::job::{Lease, LinePlace};
use postrider_queue::work::Turn;
use tokio::sync::{mpsc, oneshot};

/// An ordered job that asks for its turn.
#[derive(Debug)]
pub(crate) struct TurnRequest {
    /// Its lease.
    pub lease: Lease,
    /// Its place in its line.
    pub place: LinePlace,
    /// Gets the answer.
    pub reply: oneshot::Sender<TurnAnswer>,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnAnswer {
    /// Redis' answer.
    Turn(Turn),
    /// Redis did not answer. `in_doubt`: it may have moved the job.
    Unknown {
        /// Whether it may have.
        in_doubt: bool,
    },
}

/// Asks for the turns of one shard.
#[derive(Debug)]
pub(crate) struct Turns(pub mpsc::Sender<TurnRequest>);

impl Turns {
    /// Asks for the turn of a job.
    pub(super) async fn ask(&self, lease: Lease, place: LinePlace) -> TurnAnswer {
        let (reply, answer) = oneshot::channel();
        let request = TurnRequest { lease, place, reply };
        if self.0.send(request).await.is_err() {
            return TurnAnswer::Unknown { in_doubt: false };
        }
        answer.await.unwrap_or(TurnAnswer::Unknown { in_doubt: true })
    }
}
