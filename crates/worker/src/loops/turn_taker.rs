//! Asks for the turns of ordered jobs: at once while it is idle, and for many in one call under load.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::job::Lease;
use postrider_queue::work::{QueueShard, Settled, TURNS_MAX, Turn, is_answer};
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
                    release_waiting(&self.leases, jobs.iter().map(|(lease, _)| *lease), &turns);
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

/// Removes the jobs that Redis has moved out of the stream. Their tasks would do it later than the heartbeat reads its next
/// reply, which would then take their leases for lost.
fn release_waiting(leases: &Leases, jobs: impl Iterator<Item = Lease>, turns: &[Turn]) {
    let waiting = jobs.zip(turns).filter(|(_, turn)| **turn == Turn::Waits);
    leases.settled(waiting.map(|(lease, _)| (lease, Settled::Waits(Duration::ZERO))));
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use postrider_queue::job::{Delivery, EntryId};
    use telemetry::Telemetry;

    use super::*;
    use crate::observe::counters::Counts;
    use crate::shard::byte_budget::ByteBudget;

    #[test]
    fn a_job_that_waits_for_its_turn_leaves_before_its_task_learns_it() {
        let counts = Arc::new(Counts::new(&Telemetry::disabled(), "default"));
        let leases = Leases::new(counts, ByteBudget::default());
        let lease = |sequence| Lease { entry: EntryId { millis: 1, sequence }, delivery: 1, epoch: 0 };
        let all: Vec<Lease> = (0..4).map(lease).collect();
        for lease in &all {
            leases.in_flight.take(&Arc::new(Delivery::new(*lease, vec![])), Instant::now());
        }
        let turns = [Turn::Taken, Turn::Waits, Turn::Lost, Turn::Gone];
        release_waiting(&leases, all.iter().copied(), &turns);
        assert_eq!(leases.in_flight.leases(), [all[0], all[2], all[3]]);
    }
}
