//! Settles jobs: writes how their deliveries ended into Redis.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::job::{Delivery, Job, Lease, LinePlace, Reason, of_fields};
use postrider_queue::names;
use postrider_queue::work::{
    CallbackJob, InLine, QueueShard, Settled, Transition, WaitReason, fields, is_answer,
};
use telemetry::{Attributes, Context};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::deliver::Completion;
use super::line::in_line;
use super::process_span::{JobSpans, Settling};
use crate::observe::counters::Counts;
use crate::observe::dead_lines::DeadLines;
use crate::shard::alarm::Alarm;
use crate::shard::leases::Leases;
use crate::shard::settings::CurrentSettings;
use crate::shard::unsettled::{Unsettled, UnsettledJob};

/// Settles the jobs of one shard.
#[derive(Debug)]
pub(crate) struct Settlements {
    /// The shard.
    pub queue: QueueShard,
    /// The jobs in flight.
    pub leases: Arc<Leases>,
    /// Whether dead letters stop their lines.
    pub settings: CurrentSettings,
    /// Rings for jobs that wait.
    pub alarm: Arc<Alarm>,
    /// Sends successful jobs to the completer.
    pub succeeded: mpsc::Sender<Succeeded>,
    /// Makes the spans of settlements.
    pub spans: JobSpans,
    /// Counts dead letters.
    pub counts: Arc<Counts>,
    /// Settlements that Redis has not taken.
    pub unsettled: Arc<Unsettled<Settlement>>,
    /// Limits their log lines.
    pub lines: Arc<DeadLines>,
    /// Cancelled when the worker's time to shut down is over.
    pub cut: CancellationToken,
}

/// The settlement of one job.
#[derive(Debug)]
pub(crate) struct Settlement {
    delivery: Arc<Delivery>,
    transition: Transition,
    /// Of an ordered job.
    line: Option<InLine>,
    settling: Settling,
    /// Whether a call had no reply: it may have settled the job.
    in_doubt: bool,
}

impl Settlement {
    /// A job whose delay is over.
    fn make_due(&mut self) {
        if let Transition::Schedule { delay, not_before, why, .. } = &mut self.transition {
            (*delay, *not_before, *why) = (Duration::ZERO, 0, WaitReason::Redis);
        }
    }
}

/// A successful job that is not settled yet.
#[derive(Debug)]
pub(crate) struct Succeeded {
    /// The right to settle it.
    pub lease: Lease,
    /// Its process span.
    pub context: Context,
    /// When it was enqueued, Unix milliseconds.
    pub enqueued: u64,
    /// Its record in the delivery log, if there is one.
    pub log: Option<Box<str>>,
    /// Its place in its line, if it is ordered.
    pub place: Option<LinePlace>,
}

impl Settlements {
    /// Whether the shard may take in more jobs.
    pub(crate) fn has_room(&self) -> bool {
        self.unsettled.has_room(self.succeeded.max_capacity() - self.succeeded.capacity())
    }

    /// Settles a job. Successful jobs go to the completer, which settles them in groups. All others are rare
    /// and are settled here one by one. If Redis does not take the settlement, it waits without a slot, since
    /// other shards may need the slot. Returns `None` if the job is not settled yet, or its lease was lost. `in_doubt`: an
    /// earlier call may have moved it.
    pub(crate) async fn settle(
        &self,
        delivery: &Arc<Delivery>,
        job: Option<&Job>,
        completion: Completion,
        in_doubt: bool,
    ) -> Option<Settled> {
        let lease = delivery.lease;
        let Completion { mut transition, process } = completion;
        let line = in_line(delivery, job, &transition, &self.settings, &self.queue);
        let settling = match process {
            None => self.begin_waiting(delivery, job, &mut transition),
            Some(mut context) => {
                // From here on a shutdown does not hand the job back: it would be sent again.
                self.leases.in_flight.work_ended(lease);
                if let Transition::Complete { enqueued, result: None, callback: None, log } = &mut transition
                {
                    let (enqueued, record) = (*enqueued, log.take());
                    let place = line.as_ref().map(|line| line.place.clone());
                    let succeeded = Succeeded { lease, context, enqueued, log: record, place };
                    match self.succeeded.try_send(succeeded) {
                        Ok(()) => return None,
                        // The completer outlives every task, unless it has panicked.
                        Err(TrySendError::Closed(job) | TrySendError::Full(job)) => {
                            (context, *log) = (job.context, job.log);
                        }
                    }
                }
                let jobs = [(lease.entry, &context)];
                Settling::begin(&self.spans, transition.operation(), &jobs, |attributes| {
                    describe(&transition, attributes);
                })
            }
        };
        let delivery = delivery.clone();
        let bytes = delivery.bytes_here();
        let mut settlement = Settlement { delivery, transition, line, settling, in_doubt };
        // Boxed: it is rare, and the task of each job would be larger by it.
        match Box::pin(self.write(&mut settlement)).await {
            Ok(settled) => {
                self.end(settlement, settled);
                settled
            }
            Err(error) => {
                // A shutdown does not hand it back either: it may be settled already.
                self.leases.in_flight.work_ended(lease);
                // From here on they are limited by the bytes of the list.
                self.leases.in_flight.shed();
                let operation = settlement.transition.operation();
                let bytes = bytes + settlement.transition.callback().map_or(0, CallbackJob::bytes);
                self.unsettled.add(settlement, operation, bytes, self.queue.link().down(&error, 0));
                None
            }
        }
    }

    /// Repeats a settlement that has failed before.
    pub(crate) async fn repeat(&self, mut waiting: UnsettledJob<Settlement>) {
        let delivery = waiting.settlement.delivery.clone();
        telemetry::about(self.queue.name(), delivery, async {
            match self.write(&mut waiting.settlement).await {
                Ok(Some(Settled::Due)) => {
                    // Nobody works on it any more, so it becomes ready by way of the schedule.
                    waiting.settlement.make_due();
                    self.unsettled.again(waiting, |_| Duration::ZERO);
                }
                Ok(settled) => {
                    let is_last = self.unsettled.settled(&waiting);
                    self.end(waiting.settlement, settled);
                    if is_last {
                        info!(queue = self.queue.link().shard(), "all jobs are settled again");
                    }
                }
                Err(error) => self.unsettled.again(waiting, |failed| self.queue.link().down(&error, failed)),
            }
        })
        .await;
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
            Transition::HandBack { fields, .. } => fields::keep_trace(fields, trace),
            Transition::Complete { .. } | Transition::DeadLetter { .. } => {}
        }
        settling
    }

    /// Hands back a job whose request was cut: it is ready at once, and the cut request does not count as an
    /// attempt.
    pub(crate) async fn hand_back(&self, lease: Lease, delivery: &Delivery) {
        let job = Job::decode(delivery).ok();
        let fields = fields::handed_back(delivery, self.queue.clock().now());
        let mut transition = Transition::HandBack { why: WaitReason::Shutdown, fields };
        let settling = self.begin_waiting(delivery, job.as_ref(), &mut transition);
        let line = in_line(delivery, job.as_ref(), &transition, &self.settings, &self.queue);
        let settled = self.queue.settle(lease, &transition, line.as_ref(), &settling.context()).await;
        settling.end(settled.as_ref().err().map(fred_otel::error_type).as_ref());
        if let Err(error) = settled {
            warn!(entry = %lease.entry, %error, "could not hand back a job; another worker will take it over");
        }
    }

    /// Writes a transition once. A repeated call is harmless. Returns `None` if the lease was lost.
    async fn write(&self, settlement: &mut Settlement) -> Result<Option<Settled>, Error> {
        let Settlement { delivery, transition, line, settling, in_doubt } = settlement;
        // Its delivery count may have changed since.
        let Some(lease) = self.leases.in_flight.current(delivery.lease) else { return Ok(None) };
        match self.queue.settle(lease, transition, line.as_ref(), &settling.context()).await {
            Ok(settled) => {
                self.queue.link().up();
                Ok(Some(settled.after(*in_doubt)))
            }
            Err(error) => {
                *in_doubt |= !is_answer(&error);
                Err(error)
            }
        }
    }

    /// Ends a settlement that Redis wrote or refused, or whose lease was lost.
    fn end(&self, settlement: Settlement, settled: Option<Settled>) {
        if let Some(settled) = settled {
            self.settled(settlement.delivery.lease, &settlement.transition, settled);
        }
        end(settlement.settling, settled);
    }

    /// Redis has replied: removes the job from those in flight, unless it is due and stays.
    fn settled(&self, lease: Lease, transition: &Transition, settled: Settled) {
        match settled {
            Settled::Due => return,
            Settled::Waits(wait) => self.alarm.due_in(wait),
            Settled::Done | Settled::Lost | Settled::Gone => {}
        }
        self.leases.settled([(lease, settled)]);
        if settled == Settled::Done && transition.callback().is_some() {
            self.counts.called_back(matches!(transition, Transition::Complete { .. }));
        }
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
        if self.lines.next(*reason) {
            warn!(%job_id, entry = %lease.entry, %reason, error, flow, "job dead-lettered");
        }
        self.counts.dead(*reason);
    }
}

/// Sets why a job waits and its flow, or the callback of one that has ended.
fn describe(transition: &Transition, attributes: &mut Attributes) {
    let (name, why, fields) = match transition {
        Transition::Schedule { why, job, .. } => (names::SCHEDULE_REASON, *why, &job.fields),
        Transition::Hold { why, job, .. } => (names::HOLD_REASON, *why, &job.fields),
        Transition::HandBack { why, fields } => (names::SCHEDULE_REASON, *why, fields),
        Transition::Complete { .. } | Transition::DeadLetter { .. } => {
            if let Some(callback) = transition.callback() {
                attributes.set(names::JOB_CALLBACK, callback.job_id.clone());
            }
            return;
        }
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
