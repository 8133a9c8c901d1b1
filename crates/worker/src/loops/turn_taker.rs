//! Asks for the turns of ordered jobs: at once while it is idle, and for many in one call under load.

use std::sync::Arc;

use postrider_queue::work::{QueueShard, TURNS_MAX, is_answer};
use telemetry::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::delivery::turn::{TurnAnswer, TurnRequest};
use crate::shard::leases::Leases;

/// Asks for the turns of one shard.
#[derive(Debug)]
pub(crate) struct TurnTaker {
    /// The shard.
    pub queue: QueueShard,
    /// The jobs in flight.
    pub leases: Arc<Leases>,
    /// The jobs that ask.
    pub requests: mpsc::Receiver<TurnRequest>,
    /// Cancelled when no further job will ask.
    pub drained: CancellationToken,
}

/// Asks until no further job will.
pub(crate) async fn run(mut taker: TurnTaker) {
    let mut group = Vec::new();
    let mut failed = 0;
    loop {
        tokio::select! {
            count = taker.requests.recv_many(&mut group, TURNS_MAX) => if count == 0 {
                return;
            },
            () = taker.drained.cancelled() => return,
        }
        failed = taker.take(std::mem::take(&mut group), failed).await;
    }
}

impl TurnTaker {
    /// Asks for the turns of these jobs. Returns how often in a row Redis has not answered.
    async fn take(&self, group: Vec<TurnRequest>, failed: u32) -> u32 {
        // Of a job that is not in flight any more, the task has been aborted.
        let current = |request: TurnRequest| {
            let lease = self.leases.in_flight.current(request.lease)?;
            Some(((lease, request.place), request.reply))
        };
        let mut asking: Vec<_> = group.into_iter().filter_map(current).collect();
        asking.sort_unstable_by_key(|((lease, _), _)| lease.entry);
        let (jobs, replies): (Vec<_>, Vec<_>) = asking.into_iter().unzip();
        if jobs.is_empty() {
            return failed;
        }
        loop {
            match self.queue.take_turns(&jobs, &Context::none()).await {
                Ok(None) => {}
                Ok(Some(turns)) => {
                    self.queue.link().up();
                    for (reply, turn) in replies.into_iter().zip(turns) {
                        let _ = reply.send(TurnAnswer::Turn(turn));
                    }
                    return 0;
                }
                Err(error) => {
                    let in_doubt = !is_answer(&error);
                    let pause = self.queue.link().down(&error, failed);
                    // They are handed back, and come again at once.
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.drained.cancelled() => {}
                    }
                    for reply in replies {
                        let _ = reply.send(TurnAnswer::Unknown { in_doubt });
                    }
                    return failed + 1;
                }
            }
        }
    }
}
