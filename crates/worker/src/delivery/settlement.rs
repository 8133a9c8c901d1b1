//! Settles jobs: writes how their deliveries ended into Redis.

use std::sync::Arc;

use postrider_queue::job::{Delivery, Job, Lease, Reason, of_fields};
use postrider_queue::names;
use postrider_queue::work::{Queue, Settled, Transition, WaitReason, fields};
use telemetry::{Attributes, Context};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::deliver::Completion;
use super::trace::{JobSpans, Settling};
use crate::observe::counters::Counts;
use crate::shard::alarm::Alarm;
use crate::shard::leases::Leases;

/// Settles the jobs of one shard.
#[derive(Debug)]
pub(crate) struct Settlements {
    /// The shard.
    pub queue: Queue,
    /// The jobs in flight.
    pub leases: Arc<Leases>,
    /// Rings for jobs that wait.
    pub alarm: Arc<Alarm>,
    /// Sends successful jobs to the completer.
    pub done: mpsc::Sender<Done>,
    /// Makes the spans of settlements.
    pub spans: JobSpans,
    /// Counts dead letters.
    pub counts: Arc<Counts>,
    /// Cancelled when the worker's time to shut down is over.
    pub cut: CancellationToken,
}

/// A successful job that is not settled yet.
#[derive(Debug)]
pub(crate) struct Done {
    /// The right to settle it.
    pub lease: Lease,
    /// Its process span.
    pub context: Context,
    /// When it was enqueued, Unix milliseconds.
    pub enqueued: u64,
}

impl Settlements {
    /// Settles a job. Successful jobs go to the completer, which settles them in groups. All others are rare
    /// and are settled here one by one, so that a refusal of one delays no other. Returns `None` if the
    /// completer has the job, the lease was lost, or the worker's time to shut down is over.
    pub(crate) async fn settle(
        &self,
        delivery: &Delivery,
        job: Option<&Job>,
        completion: Completion,
    ) -> Option<Settled> {
        let lease = delivery.lease;
        let Completion { mut transition, process } = completion;
        let settling = match process {
            None => self.begin_waiting(delivery, job, &mut transition),
            Some(mut context) => {
                // From here on a shutdown does not hand the job back: it would be sent again.
                self.leases.in_flight.done(lease);
                if let Transition::Complete { enqueued, result: None } = transition {
                    let done = Done { lease, context, enqueued };
                    let Err(SendError(done)) = self.done.send(done).await else { return None };
                    // The completer outlives every task, unless it has panicked.
                    context = done.context;
                }
                let jobs = [(lease.entry, &context)];
                Settling::begin(&self.spans, transition.operation(), &jobs, |attributes| {
                    describe(&transition, attributes);
                })
            }
        };
        let settled = self.persist(lease, &transition, &settling.context()).await;
        if let Some(settled) = settled {
            self.settled(lease, &transition, settled);
        }
        end(settling, settled);
        settled
    }

    /// Begins the span of a settlement of a job that only waits, and lets the job carry on its trace.
    fn begin_waiting(&self, delivery: &Delivery, job: Option<&Job>, transition: &mut Transition) -> Settling {
        let (settling, trace) =
            Settling::waiting(&self.spans, transition.operation(), delivery, job, |attributes| {
                describe(transition, attributes);
            });
        match transition {
            Transition::Schedule { job, .. } | Transition::Hold { job, .. } => {
                fields::keep_trace(&mut job.fields, trace);
            }
            Transition::Release { fields } => fields::keep_trace(fields, trace),
            Transition::Complete { .. } | Transition::DeadLetter { .. } => {}
        }
        settling
    }

    /// Hands back a job whose request was cut: it is ready at once, and the cut request does not count as an
    /// attempt.
    pub(crate) async fn hand_back(&self, lease: Lease, delivery: &Delivery) {
        let job = Job::decode(delivery).ok();
        let fields = fields::handed_back(delivery, self.queue.clock().now());
        let mut transition = Transition::Release { fields };
        let settling = self.begin_waiting(delivery, job.as_ref(), &mut transition);
        let released = self.queue.settle(lease, &transition, &settling.context()).await;
        settling.end(released.as_ref().err().map(fred_otel::error_type).as_ref());
        if let Err(error) = released {
            warn!(entry = %lease.entry, %error, "could not hand back a job; another worker will take it over");
        }
    }

    /// Writes a transition. Repeats it until Redis replies, which is harmless. Returns `None` if the lease was
    /// lost, or the worker's time to shut down is over.
    async fn persist(&self, lease: Lease, transition: &Transition, parent: &Context) -> Option<Settled> {
        for failed in 0.. {
            // Its delivery count may have changed since.
            let current = self.leases.in_flight.current(lease)?;
            match self.queue.settle(current, transition, parent).await {
                Ok(settled) => {
                    self.queue.link().up();
                    return Some(settled.after(failed));
                }
                Err(error) => {
                    let pause = self.queue.link().down(&error, failed);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.cut.cancelled() => return None,
                    }
                }
            }
        }
        None
    }

    /// Redis has replied: removes the job from those in flight, unless it is due and stays.
    fn settled(&self, lease: Lease, transition: &Transition, settled: Settled) {
        match settled {
            Settled::Due => return,
            Settled::Waits(wait) => self.alarm.due_in(wait),
            Settled::Done | Settled::Lost | Settled::Gone => {}
        }
        self.leases.settled([(lease, settled)]);
        match transition {
            Transition::Complete { enqueued, .. } if settled == Settled::Done => {
                self.leases.delivered(*enqueued, self.queue.clock().now());
            }
            Transition::DeadLetter { .. } if settled == Settled::Done => {
                self.dead_lettered(lease, transition);
            }
            _ => {}
        }
    }

    fn dead_lettered(&self, lease: Lease, transition: &Transition) {
        let Transition::DeadLetter { job_id, reason, error, fields, .. } = transition else { return };
        let job_id = String::from_utf8_lossy(job_id);
        // A malformed entry has no flow, whatever its `url` contains.
        let is_job = !matches!(reason, Reason::Malformed | Reason::Version);
        let flow = is_job.then(|| of_fields(fields)).flatten().map(|(_, name)| name);
        warn!(%job_id, entry = %lease.entry, %reason, error, flow, "job dead-lettered");
        self.counts.dead(*reason);
    }
}

/// Sets why a job waits, and its flow.
fn describe(transition: &Transition, attributes: &mut Attributes) {
    let (name, why, fields) = match transition {
        Transition::Schedule { why, job, .. } => (names::SCHEDULE_REASON, *why, &job.fields),
        Transition::Hold { why, job, .. } => (names::HOLD_REASON, *why, &job.fields),
        Transition::Release { fields } => (names::SCHEDULE_REASON, WaitReason::Shutdown, fields),
        Transition::Complete { .. } | Transition::DeadLetter { .. } => return,
    };
    attributes.set(name, why.as_str());
    if let Some((_, flow)) = of_fields(fields) {
        attributes.set(names::FLOW_NAME, flow);
    }
}

/// Ends the span. A settlement that was refused or not written is an error.
fn end(settling: Settling, settled: Option<Settled>) {
    if let Some(Settled::Waits(wait)) = settled {
        settling.due_in(wait);
    }
    let is_lost = matches!(settled, None | Some(Settled::Lost | Settled::Gone));
    settling.end(is_lost.then_some(&names::LEASE_LOST));
}
