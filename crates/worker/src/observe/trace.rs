//! The spans of the work on a job and of its settlement, and how they hang together with the producer's and with
//! earlier attempts.

use std::time::{Duration, Instant};

use postrider_queue::job::{Delivery, EntryId, Job, Producer, Reason, Trail};
use postrider_queue::work::{Alone, Operation, fields, history};
use telemetry::{Context, ErrorType, Span, Telemetry, semconv};

use super::counts::Became;
use super::retries::Retries;
use crate::shard::lane::Lane;

/// An entry's time that is older than this was made up by its producer.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 24 * 3600);

/// The work on one delivery, recorded.
#[derive(Debug)]
pub struct Process<'a> {
    span: Span,
    lane: &'a Lane,
    began: Instant,
    /// Whether the producer has said what attempts are children of; else the first attempt's span is.
    has_producer: bool,
    kept: Option<String>,
    has_ended: bool,
}

/// Where a job's process span belongs.
struct Relatives {
    /// The producer's span, or where there was none, the first attempt's: what attempts are children of.
    origin: Context,
    /// The attempt before.
    before: Context,
    /// The producer's span of the job that this one replays.
    replayed: Context,
    /// The `traceparent` of the first attempt, where attempts are children of that.
    kept: Option<String>,
    has_producer: bool,
    /// Whether there was an attempt of this job before.
    is_again: bool,
}

impl Relatives {
    fn of(telemetry: &Telemetry, trail: Option<&Trail>, producer: Context) -> Self {
        let alone = |text: String| telemetry.extract(&Alone(text));
        let is_replay = trail.is_some_and(|trail| trail.replay_of.is_some());
        let has_producer = producer.is_some() && !is_replay;
        let kept = trail.and_then(|trail| trail.traceparent.as_ref()).filter(|_| !has_producer);
        let kept = kept.and_then(|text| String::from_utf8(text.to_vec()).ok());
        let replayed = if is_replay && kept.is_none() { producer.clone() } else { Context::none() };
        let origin = match &kept {
            Some(kept) => alone(kept.clone()),
            None if has_producer => producer,
            None => Context::none(),
        };
        let is_again = trail.is_some_and(|trail| trail.attempts > 0 || !is_replay && trail.history.is_some());
        let before = match trail.filter(|_| is_again || is_replay) {
            Some(trail) => history::last_traceparent(trail.history.as_ref()).map_or(Context::none(), alone),
            None => Context::none(),
        };
        Self { origin, before, replayed, kept, has_producer, is_again }
    }
}

impl<'a> Process<'a> {
    /// Begins the span. All attempts of a delivery are children of the producer's span, or where there was
    /// none, of the first attempt's; each has a link to the one before; or as [`Retries`] says. A replay is a new
    /// trace, with links to the producer and to the last attempt of the job that it was. `job` is `None` for a
    /// malformed entry.
    pub fn begin(lane: &'a Lane, delivery: &Delivery, job: Option<&Job>) -> Self {
        let began = Instant::now();
        let wait = job.and_then(|job| waited(lane, delivery, job));
        let producer = lane.telemetry.extract(&Producer(&delivery.fields));
        let relatives = Relatives::of(&lane.telemetry, job.map(|job| &job.trail), producer);
        let span =
            if lane.telemetry.is_on() { span(lane, delivery, job, &relatives, wait) } else { Span::none() };
        let Relatives { kept, has_producer, .. } = relatives;
        Self { span, lane, began, has_producer, kept, has_ended: false }
    }

    /// The span, as the parent of others.
    pub fn context(&self) -> Context {
        self.span.context()
    }

    /// What the next attempt is to be a child of; `None` where the producer has said it.
    pub fn keep(&self) -> Option<String> {
        if self.has_producer {
            return None;
        }
        self.kept.clone().or_else(|| self.span.context().traceparent())
    }

    /// The job is delivered.
    pub fn done(self) {
        self.end(Became::Done, None);
    }

    /// The attempt failed and there will be another: as far as this delivery goes, the failure is dealt with, so
    /// it is the attempt's span alone that tells an error.
    pub fn retry(self) {
        self.end(Became::Retry, None);
    }

    /// The job is handed back for a fault that is not its own.
    pub fn release(self) {
        self.end(Became::Release, None);
    }

    /// The job ended among the dead letters.
    pub fn dead(self, reason: Reason, error: &ErrorType) {
        self.span.set(semconv::POSTRIDER_JOB_DEAD_REASON, reason.as_str());
        self.end(Became::Dead, Some(error));
    }

    fn end(mut self, became: Became, error: Option<&ErrorType>) {
        self.has_ended = true;
        self.span.set(semconv::POSTRIDER_JOB_OUTCOME, became.as_str());
        if let Some(error) = error {
            self.span.fail(error);
        }
        self.lane.queue.operations().took(Operation::Process, self.began, error);
    }
}

/// Ended before there was an outcome: its lease was lost, or the worker's time was over. That is no error, but a
/// panic is.
impl Drop for Process<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.span.set(semconv::POSTRIDER_JOB_OUTCOME, "cut");
            let error = std::thread::panicking().then_some(&ErrorType::Panic);
            self.lane.queue.operations().took(Operation::Process, self.began, error);
        }
    }
}

fn span(
    lane: &Lane,
    delivery: &Delivery,
    job: Option<&Job>,
    relatives: &Relatives,
    wait: Option<Duration>,
) -> Span {
    let operations = lane.queue.operations();
    let root = Context::none();
    let builder = operations.span(Operation::Process);
    let builder = match lane.retries {
        _ if !relatives.is_again => builder.parent(&relatives.origin).link(&relatives.before),
        Retries::Parent => builder.parent(&relatives.origin).link(&relatives.before),
        Retries::Link => {
            builder.root_as_sampled(&relatives.origin).link(&relatives.origin).link(&relatives.before)
        }
        Retries::None => builder.parent(&root),
    };
    let span = builder.link(&relatives.replayed).start(|attributes| {
        operations.describe(Operation::Process, attributes);
        let entry = delivery.lease.entry.to_string();
        if let Some(job) = job {
            let id = String::from_utf8_lossy(&job.id).into_owned();
            attributes.set(semconv::MESSAGING_MESSAGE_CONVERSATION_ID, id);
            attributes.set(semconv::POSTRIDER_JOB_ATTEMPT, job.trail.attempts + 1);
            // Of a job that has waited the entry is a new one.
            if job.ticket.as_ref() != entry.as_bytes() {
                let ticket = String::from_utf8_lossy(&job.ticket).into_owned();
                attributes.set(semconv::POSTRIDER_JOB_TICKET, ticket);
            }
        }
        attributes.set(semconv::MESSAGING_MESSAGE_ID, entry);
        if let Some(wait) = wait {
            attributes.set(semconv::POSTRIDER_JOB_WAIT_DURATION, wait.as_secs_f64());
        }
        if delivery.lease.delivery > 1 {
            attributes.set(semconv::POSTRIDER_JOB_DELIVERIES, delivery.lease.delivery);
        }
    });
    // What is logged of the job from here on is found in its trace.
    telemetry::belongs_to(&span.context());
    span
}

/// For how long the job stood ready: its entry's id tells since when. Measured, too.
fn waited(lane: &Lane, delivery: &Delivery, job: &Job) -> Option<Duration> {
    if !lane.telemetry.is_on() {
        return None;
    }
    let ready = delivery.lease.entry.millis;
    let wait = Duration::from_millis(lane.queue.clock().now().saturating_sub(ready));
    if wait > LONGEST_WAIT {
        return None;
    }
    lane.counts.waited(wait);
    // Of a later attempt nothing tells when it began to wait.
    if let (Some(_), 0, Some(enqueued)) = (job.trail.admitted, job.trail.attempts, job.trail.at) {
        lane.counts.held(Duration::from_millis(ready.saturating_sub(job.first_due(enqueued))));
    }
    Some(wait)
}

/// The settlement of jobs under way, recorded.
#[derive(Debug)]
pub struct Settling<'a> {
    span: Span,
    lane: &'a Lane,
    operation: Operation,
    began: Instant,
}

impl<'a> Settling<'a> {
    /// Of one job it is a child of its process span, of several a root with a link to each.
    pub fn begin(lane: &'a Lane, operation: Operation, jobs: &[(EntryId, &Context)]) -> Self {
        let began = Instant::now();
        let span = if lane.telemetry.is_on() { settlement_span(lane, operation, jobs) } else { Span::none() };
        Self { span, lane, operation, began }
    }

    /// Of a job that waits before any work on it has begun, or is handed back in the middle: a child of what its
    /// attempts are children of.
    pub fn waiting(lane: &'a Lane, operation: Operation, delivery: &Delivery) -> Self {
        let is_replay = fields::value(&delivery.fields, "_replay_of").is_some();
        let producer = lane.telemetry.extract(&Producer(&delivery.fields));
        let origin = if producer.is_some() && !is_replay { producer } else { kept(lane, delivery) };
        Self::begin(lane, operation, &[(delivery.lease.entry, &origin)])
    }

    /// The span, as the parent of others.
    pub fn context(&self) -> Context {
        self.span.context()
    }

    /// It is written, or was refused.
    pub fn end(self, error: Option<&ErrorType>) {
        if let Some(error) = error {
            self.span.fail(error);
        }
        self.lane.queue.operations().took(self.operation, self.began, error);
    }
}

fn settlement_span(lane: &Lane, operation: Operation, jobs: &[(EntryId, &Context)]) -> Span {
    let operations = lane.queue.operations();
    let root = Context::none();
    let builder = operations.span(operation);
    let builder = match jobs {
        [(_, job)] => builder.parent(job),
        jobs => match jobs.iter().map(|(_, job)| *job).filter(|job| job.is_sampled()).collect::<Vec<_>>() {
            // Nothing of them is recorded, so nor is this.
            sampled if sampled.is_empty() => builder.parent(jobs.first().map_or(&root, |(_, job)| *job)),
            sampled => sampled.iter().fold(builder.parent(&root), |builder, job| builder.link(job)),
        },
    };
    builder.start(|attributes| {
        operations.describe(operation, attributes);
        match jobs {
            [(entry, _)] => attributes.set(semconv::MESSAGING_MESSAGE_ID, entry.to_string()),
            jobs => attributes.set(semconv::MESSAGING_BATCH_MESSAGE_COUNT, jobs.len()),
        }
    })
}

/// The first attempt's span, where that is what attempts are children of.
fn kept(lane: &Lane, delivery: &Delivery) -> Context {
    let text = fields::value(&delivery.fields, "_traceparent");
    let text = text.and_then(|text| String::from_utf8(text.to_vec()).ok());
    text.map_or_else(Context::none, |text| lane.telemetry.extract(&Alone(text)))
}
