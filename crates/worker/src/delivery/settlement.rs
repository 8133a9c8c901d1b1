//! Settling what an attempt came to.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::Error;
use postrider_queue::job::{Delivery, Fields, Job, Lease, Reason, of_fields};
use postrider_queue::work::{Burial, Operation, Parking, Settled, Until, WaitReason, Written, fields};
use telemetry::{Attributes, Context, ErrorType, semconv};
use tokio::sync::mpsc::error::SendError;
use tracing::warn;

use super::trace::Settling;
use crate::shard::lane::{Done, Lane};

/// What is to be written in Redis.
#[derive(Debug)]
pub(crate) enum Settlement {
    /// The job is done.
    Finish {
        /// When it was enqueued, Unix milliseconds.
        enqueued: u64,
    },
    /// The job is done, and somebody waits for its result.
    Conclude {
        /// Under which it is left.
        ticket: Bytes,
        /// How long it is kept.
        ttl: Duration,
        /// What it says.
        result: String,
        /// When the job was enqueued, Unix milliseconds.
        enqueued: u64,
    },
    /// The job waits in the schedule.
    Park(Parking),
    /// The job goes to the dead letters.
    Bury(Burial),
}

impl Settlement {
    /// What it is called in traces.
    fn operation(&self) -> Operation {
        match self {
            Self::Finish { .. } | Self::Conclude { .. } => Operation::Ack,
            Self::Bury(_) => Operation::DeadLetter,
            Self::Park(parking) => match parking.until {
                Until::Retry(_) => Operation::Retry,
                Until::Release(_) => Operation::Release,
                Until::Due { .. } => Operation::Delay,
                Until::Admitted { .. } => Operation::Park,
            },
        }
    }

    /// Of a job that waits, its span says why and for which flow.
    fn describe(&self, attributes: &mut Attributes) {
        if let Self::Park(parking) = self {
            let reason = match parking.until {
                Until::Admitted { .. } => semconv::POSTRIDER_HOLD_REASON,
                _ => semconv::POSTRIDER_SCHEDULE_REASON,
            };
            attributes.set(reason, parking.why.as_str());
            describe_flow(&parking.fields, attributes);
        }
    }
}

fn describe_flow(fields: &Fields, attributes: &mut Attributes) {
    if let Some((_, flow)) = of_fields(fields) {
        attributes.set(semconv::POSTRIDER_FLOW_NAME, flow);
    }
}

/// Settles a job. Jobs that are done go to the settler, which takes them in groups; the rest is the exception
/// and is settled here, so that what Redis refuses of one job holds up no other.
pub(crate) async fn settle(lane: &Lane, lease: Lease, settlement: Settlement, mut context: Context) {
    // From here on no cut takes it back: it would be sent again.
    lane.hand.done(lease);
    if let Settlement::Finish { enqueued } = settlement {
        let Err(SendError(done)) = lane.done.send(Done { lease, context, enqueued }).await else { return };
        // The settler outlives every task, unless it has panicked.
        context = done.context;
    }
    let jobs = [(lease.entry, &context)];
    let settling =
        Settling::begin(lane, settlement.operation(), &jobs, |attributes| settlement.describe(attributes));
    let written = persist(lane, lease, &settlement, &settling.context()).await;
    if let Some(Written::Settled(Settled::Done)) = written {
        match &settlement {
            Settlement::Bury(burial) => buried(lane, lease, burial),
            Settlement::Finish { enqueued } | Settlement::Conclude { enqueued, .. } => {
                lane.delivered(*enqueued, lane.queue.clock().now());
            }
            _ => {}
        }
    }
    end(settling, written);
}

/// Has a job wait before any work on it has begun.
pub(crate) async fn put_aside(
    lane: &Lane,
    delivery: &Delivery,
    job: &Job,
    parking: Parking,
) -> Option<Written> {
    let mut settlement = Settlement::Park(parking);
    let (settling, trace) =
        Settling::waiting(lane, settlement.operation(), delivery, Some(job), |attributes| {
            settlement.describe(attributes);
        });
    if let Settlement::Park(parking) = &mut settlement {
        fields::keep_trace(&mut parking.fields, trace);
    }
    let written = persist(lane, delivery.lease, &settlement, &settling.context()).await;
    end(settling, written);
    written
}

/// Hands back a job whose request was cut: at once for any other worker, and at no cost of an attempt.
pub(crate) async fn hand_back(lane: &Lane, lease: Lease, delivery: &Delivery) {
    let job = Job::decode(delivery).ok();
    let mut fields = fields::handed_back(delivery, lane.queue.clock().now());
    let (settling, trace) =
        Settling::waiting(lane, Operation::Release, delivery, job.as_ref(), |attributes| {
            attributes.set(semconv::POSTRIDER_SCHEDULE_REASON, WaitReason::Shutdown.as_str());
            describe_flow(&delivery.fields, attributes);
        });
    fields::keep_trace(&mut fields, trace);
    let released = lane.queue.release(lease, &fields, &settling.context()).await;
    settling.end(released.as_ref().err().map(redis_telemetry::error_type).as_ref());
    if let Err(error) = released {
        warn!(entry = %lease.entry, %error, "a job could not be handed back; it will be taken over");
    }
}

/// What came too late, or not at all, is an error of the settlement.
fn end(settling: Settling<'_>, written: Option<Written>) {
    if let Some(Written::Waits(millis)) = written {
        settling.due_in(Duration::from_millis(millis));
    }
    let is_lost =
        !matches!(written, Some(Written::Settled(Settled::Done) | Written::Waits(_) | Written::Due));
    settling.end(is_lost.then_some(&ErrorType::LeaseLost));
}

fn buried(lane: &Lane, lease: Lease, burial: &Burial) {
    let Burial { ticket, reason, error, fields, .. } = burial;
    let ticket = String::from_utf8_lossy(ticket);
    // What is no job names no destination, whatever stands in its `url`.
    let is_job = !matches!(reason, Reason::Malformed | Reason::Version);
    let flow = is_job.then(|| of_fields(fields)).flatten().map(|(_, name)| name);
    warn!(%ticket, entry = %lease.entry, %reason, error, flow, "job buried");
    lane.counts.dead(*reason);
}

/// Writes a settlement, again and again until Redis answers, since each is harmless when repeated; then the
/// job is put down, unless it is due and stays in hand. `None` where it was lost, or the worker's time is over.
async fn persist(lane: &Lane, lease: Lease, settlement: &Settlement, parent: &Context) -> Option<Written> {
    for failed in 0.. {
        // Its delivery count may have changed since.
        let current = lane.hand.current(lease)?;
        match write(lane, current, settlement, parent).await {
            Ok(answer) => {
                lane.queue.link().up();
                let answer = match answer {
                    Written::Settled(settled) => Written::Settled(settled.after(failed)),
                    waits => waits,
                };
                match answer {
                    Written::Due => {}
                    Written::Waits(millis) => {
                        lane.alarm.due_in(Duration::from_millis(millis));
                        lane.hand.put_down(lease);
                    }
                    Written::Settled(settled) => {
                        lane.settled([(lease, settled)]);
                    }
                }
                return Some(answer);
            }
            Err(error) => {
                let pause = lane.queue.link().down(&error, failed);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = lane.cut.cancelled() => return None,
                }
            }
        }
    }
    None
}

async fn write(
    lane: &Lane,
    lease: Lease,
    settlement: &Settlement,
    parent: &Context,
) -> Result<Written, Error> {
    match settlement {
        Settlement::Park(parking) => lane.queue.park(lease, parking, parent).await,
        Settlement::Bury(burial) => lane.queue.bury(lease, burial, parent).await.map(Written::Settled),
        Settlement::Finish { .. } => {
            let settled = lane.queue.finish(&[lease], parent).await?;
            Ok(Written::Settled(settled.first().copied().unwrap_or(Settled::Gone)))
        }
        Settlement::Conclude { ticket, ttl, result, .. } => {
            lane.queue.conclude(lease, ticket, *ttl, result, parent).await.map(Written::Settled)
        }
    }
}
