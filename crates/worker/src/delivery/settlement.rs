//! Settles a job: writes the outcome of its attempt into Redis.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::Error;
use postrider_queue::job::{Delivery, Fields, Job, Lease, Reason, of_fields};
use postrider_queue::names;
use postrider_queue::work::{
    NewDeadLetter, Operation, Postponement, Settled, Until, WaitReason, Written, fields,
};
use telemetry::{Attributes, Context};
use tokio::sync::mpsc::error::SendError;
use tracing::warn;

use super::trace::Settling;
use crate::shard::runtime::{Done, ShardRuntime};

/// The outcome to write into Redis.
#[derive(Debug)]
pub(crate) enum Settlement {
    /// The job succeeded.
    Complete {
        /// When it was enqueued, Unix milliseconds.
        enqueued: u64,
    },
    /// The job succeeded, and its producer wants the result.
    CompleteWithResult {
        /// The job id under which the result is stored.
        job_id: Bytes,
        /// How long it is kept.
        ttl: Duration,
        /// The result in JSON.
        result: String,
        /// When the job was enqueued, Unix milliseconds.
        enqueued: u64,
    },
    /// The job is scheduled or held.
    Postpone(Postponement),
    /// The job is dead-lettered.
    DeadLetter(NewDeadLetter),
}

impl Settlement {
    /// The operation that spans and metrics name.
    fn operation(&self) -> Operation {
        match self {
            Self::Complete { .. } | Self::CompleteWithResult { .. } => Operation::Ack,
            Self::DeadLetter(_) => Operation::DeadLetter,
            Self::Postpone(postponement) => match postponement.until {
                Until::Retry(_) => Operation::Retry,
                Until::Release(_) => Operation::Release,
                Until::Due { .. } => Operation::Delay,
                Until::Admitted { .. } => Operation::Hold,
            },
        }
    }

    /// Sets why a job waits, and its flow.
    fn describe(&self, attributes: &mut Attributes) {
        if let Self::Postpone(postponement) = self {
            let reason = match postponement.until {
                Until::Admitted { .. } => names::HOLD_REASON,
                _ => names::SCHEDULE_REASON,
            };
            attributes.set(reason, postponement.why.as_str());
            describe_flow(&postponement.fields, attributes);
        }
    }
}

fn describe_flow(fields: &Fields, attributes: &mut Attributes) {
    if let Some((_, flow)) = of_fields(fields) {
        attributes.set(names::FLOW_NAME, flow);
    }
}

/// Settles a job. Successful jobs go to the completer, which settles them in groups. All others are rare and
/// are settled here one by one, so that a refusal of one delays no other.
pub(crate) async fn settle(shard: &ShardRuntime, lease: Lease, settlement: Settlement, mut context: Context) {
    // From here on a shutdown does not hand the job back: it would be sent again.
    shard.in_flight.done(lease);
    if let Settlement::Complete { enqueued } = settlement {
        let Err(SendError(done)) = shard.done.send(Done { lease, context, enqueued }).await else { return };
        // The completer outlives every task, unless it has panicked.
        context = done.context;
    }
    let jobs = [(lease.entry, &context)];
    let settling =
        Settling::begin(shard, settlement.operation(), &jobs, |attributes| settlement.describe(attributes));
    let written = persist(shard, lease, &settlement, &settling.context()).await;
    if let Some(Written::Settled(Settled::Done)) = written {
        match &settlement {
            Settlement::DeadLetter(letter) => dead_lettered(shard, lease, letter),
            Settlement::Complete { enqueued } | Settlement::CompleteWithResult { enqueued, .. } => {
                shard.delivered(*enqueued, shard.queue.clock().now());
            }
            _ => {}
        }
    }
    end(settling, written);
}

/// Schedules or holds a job before an attempt.
pub(crate) async fn postpone_unsent(
    shard: &ShardRuntime,
    delivery: &Delivery,
    job: &Job,
    postponement: Postponement,
) -> Option<Written> {
    let mut settlement = Settlement::Postpone(postponement);
    let (settling, trace) =
        Settling::waiting(shard, settlement.operation(), delivery, Some(job), |attributes| {
            settlement.describe(attributes);
        });
    if let Settlement::Postpone(postponement) = &mut settlement {
        fields::keep_trace(&mut postponement.fields, trace);
    }
    let written = persist(shard, delivery.lease, &settlement, &settling.context()).await;
    end(settling, written);
    written
}

/// Hands back a job whose request was cut: it is ready at once, and the cut request does not count as an
/// attempt.
pub(crate) async fn hand_back(shard: &ShardRuntime, lease: Lease, delivery: &Delivery) {
    let job = Job::decode(delivery).ok();
    let mut fields = fields::handed_back(delivery, shard.queue.clock().now());
    let (settling, trace) =
        Settling::waiting(shard, Operation::Release, delivery, job.as_ref(), |attributes| {
            attributes.set(names::SCHEDULE_REASON, WaitReason::Shutdown.as_str());
            describe_flow(&delivery.fields, attributes);
        });
    fields::keep_trace(&mut fields, trace);
    let released = shard.queue.release(lease, &fields, &settling.context()).await;
    settling.end(released.as_ref().err().map(fred_otel::error_type).as_ref());
    if let Err(error) = released {
        warn!(entry = %lease.entry, %error, "could not hand back a job; another worker will take it over");
    }
}

/// Ends the span. A settlement that was refused or not written is an error.
fn end(settling: Settling<'_>, written: Option<Written>) {
    if let Some(Written::Waits(millis)) = written {
        settling.due_in(Duration::from_millis(millis));
    }
    let is_lost =
        !matches!(written, Some(Written::Settled(Settled::Done) | Written::Waits(_) | Written::Due));
    settling.end(is_lost.then_some(&names::LEASE_LOST));
}

fn dead_lettered(shard: &ShardRuntime, lease: Lease, letter: &NewDeadLetter) {
    let NewDeadLetter { job_id, reason, error, fields, .. } = letter;
    let job_id = String::from_utf8_lossy(job_id);
    // A malformed entry has no flow, whatever its `url` contains.
    let is_job = !matches!(reason, Reason::Malformed | Reason::Version);
    let flow = is_job.then(|| of_fields(fields)).flatten().map(|(_, name)| name);
    warn!(%job_id, entry = %lease.entry, %reason, error, flow, "job dead-lettered");
    shard.counts.dead(*reason);
}

/// Writes a settlement. Repeats it until Redis replies, which is harmless. Then removes the job from those in
/// flight, unless it is due and stays. Returns `None` if the lease was lost, or the worker's time to shut
/// down is over.
async fn persist(
    shard: &ShardRuntime,
    lease: Lease,
    settlement: &Settlement,
    parent: &Context,
) -> Option<Written> {
    for failed in 0.. {
        // Its delivery count may have changed since.
        let current = shard.in_flight.current(lease)?;
        match write(shard, current, settlement, parent).await {
            Ok(reply) => {
                shard.queue.link().up();
                let reply = match reply {
                    Written::Settled(settled) => Written::Settled(settled.after(failed)),
                    waits => waits,
                };
                match reply {
                    Written::Due => {}
                    Written::Waits(millis) => {
                        shard.alarm.due_in(Duration::from_millis(millis));
                        shard.in_flight.put_down(lease);
                    }
                    Written::Settled(settled) => {
                        shard.settled([(lease, settled)]);
                    }
                }
                return Some(reply);
            }
            Err(error) => {
                let pause = shard.queue.link().down(&error, failed);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = shard.cut.cancelled() => return None,
                }
            }
        }
    }
    None
}

async fn write(
    shard: &ShardRuntime,
    lease: Lease,
    settlement: &Settlement,
    parent: &Context,
) -> Result<Written, Error> {
    match settlement {
        Settlement::Postpone(postponement) => shard.queue.postpone(lease, postponement, parent).await,
        Settlement::DeadLetter(letter) => {
            shard.queue.dead_letter(lease, letter, parent).await.map(Written::Settled)
        }
        Settlement::Complete { .. } => {
            let settled = shard.queue.complete(&[lease], parent).await?;
            Ok(Written::Settled(settled.first().copied().unwrap_or(Settled::Gone)))
        }
        Settlement::CompleteWithResult { job_id, ttl, result, .. } => {
            shard.queue.complete_with_result(lease, job_id, *ttl, result, parent).await.map(Written::Settled)
        }
    }
}
