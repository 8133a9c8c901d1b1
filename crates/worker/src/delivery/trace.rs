//! The spans of the work on a job and of its settlement, and how they hang together with the producer's and with
//! earlier attempts.

mod origin;
mod waits;

use std::time::{Duration, Instant};

use postrider_queue::job::{Delivery, EntryId, Job, Reason};
use postrider_queue::names;
use postrider_queue::work::Operation;
use telemetry::{Attributes, Context, ErrorType, Span, semconv};

use crate::observe::retries::Retries;
use crate::policy::OutcomeKind;
use crate::shard::runtime::ShardRuntime;
use origin::{Before, Origin};
use waits::Waits;

/// The work on one delivery, recorded.
#[derive(Debug)]
pub(crate) struct Process<'a> {
    span: Span,
    shard: &'a ShardRuntime,
    began: Instant,
    origin: Origin,
    has_ended: bool,
}

impl<'a> Process<'a> {
    /// Begins the span. All attempts of a job are children of the producer's span, or where there was none, of the
    /// first span that was made for the job; each has a link to the one before; or as [`Retries`] says. A replay is a
    /// new trace, with links to the producer and to the last attempt of the job that it was. `job` is `None` for a
    /// malformed entry.
    pub(crate) fn begin(shard: &'a ShardRuntime, delivery: &Delivery, job: Option<&Job>) -> Self {
        let began = Instant::now();
        let waits = job.map_or_else(Waits::default, |job| Waits::of(shard, delivery, job));
        let origin = Origin::of(&shard.telemetry, delivery, job);
        let span = if shard.telemetry.is_on() {
            let span = span(shard, delivery, job, &origin, waits);
            begins_trace(delivery, &origin, &span);
            span
        } else {
            Span::none()
        };
        Self { span, shard, began, origin, has_ended: false }
    }

    /// The span, as the parent of others.
    pub(crate) fn context(&self) -> Context {
        self.span.context()
    }

    /// What the next attempt is to be a child of; `None` where the producer has said it.
    pub(crate) fn keep(&self) -> Option<String> {
        self.origin.to_keep(&self.span.context())
    }

    /// The job is delivered.
    pub(crate) fn done(self) {
        self.end(OutcomeKind::Done);
    }

    /// The attempt failed and there will be another: as far as this delivery goes, the failure is dealt with, so
    /// it is the attempt's span alone that tells an error.
    pub(crate) fn retry(self) {
        self.end(OutcomeKind::Retry);
    }

    /// The job is handed back for a fault that is not its own.
    pub(crate) fn release(self) {
        self.end(OutcomeKind::Release);
    }

    /// The job ended among the dead letters. `text` says why in one sentence, without secrets.
    pub(crate) fn dead(mut self, reason: Reason, error: &ErrorType, text: &str) {
        self.ends(OutcomeKind::Dead);
        self.span.set(names::JOB_DEAD_REASON, reason.as_str());
        self.span.fail_with(error, || text.to_owned().into());
        self.shard.queue.operations().took(Operation::Process, self.began, Some(error));
    }

    fn end(mut self, outcome: OutcomeKind) {
        self.ends(outcome);
        self.shard.queue.operations().took(Operation::Process, self.began, None);
    }

    fn ends(&mut self, outcome: OutcomeKind) {
        self.has_ended = true;
        self.span.set(names::JOB_OUTCOME, outcome.as_str());
    }
}

/// Ended before there was an outcome: its lease was lost, or the worker's time was over. That is no error, but a
/// panic is.
impl Drop for Process<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.span.set(names::JOB_OUTCOME, "cut");
            let error = std::thread::panicking().then_some(&ErrorType::Panic);
            self.shard.queue.operations().took(Operation::Process, self.began, error);
        }
    }
}

/// Where nothing was recorded of a job before, this is what its other spans are children of.
fn begins_trace(delivery: &Delivery, origin: &Origin, span: &Span) {
    if !origin.is_known() {
        // Set before it cannot be: then it would be known.
        let _ = delivery.first_span.set(span.context());
    }
}

fn span(shard: &ShardRuntime, delivery: &Delivery, job: Option<&Job>, origin: &Origin, waits: Waits) -> Span {
    let operations = shard.queue.operations();
    let root = Context::none();
    let before = Before::of(&shard.telemetry, delivery, job, origin);
    let builder = operations.span(Operation::Process);
    let builder = match shard.retries {
        Retries::Link if before.is_again => {
            before.link(builder.root_as_sampled(origin.context()).link(origin.context()))
        }
        Retries::None if before.is_again => builder.parent(&root),
        _ => before.link(builder.parent(origin.context())),
    };
    let span = builder.start(|attributes| {
        // The name is the same for all: this tells one from the other.
        if let Some(job) = job {
            attributes.set(names::JOB_ATTEMPT, job.trail.attempts + 1);
        }
        operations.describe(Operation::Process, attributes);
        let entry = delivery.lease.entry.to_string();
        if let Some(job) = job {
            let id = String::from_utf8_lossy(&job.label).into_owned();
            attributes.set(semconv::MESSAGING_MESSAGE_CONVERSATION_ID, id);
            // Of a job that has waited the entry is a new one.
            if job.id.as_ref() != entry.as_bytes() {
                let job_id = String::from_utf8_lossy(&job.id).into_owned();
                attributes.set(names::JOB_ID, job_id);
            }
        }
        attributes.set(semconv::MESSAGING_MESSAGE_ID, entry);
        waits.describe(attributes);
        if delivery.lease.delivery > 1 {
            attributes.set(names::JOB_DELIVERIES, delivery.lease.delivery);
        }
    });
    // What is logged of the job from here on is found in its trace.
    telemetry::belongs_to(&span.context());
    span
}

/// The settlement of jobs under way, recorded.
#[derive(Debug)]
pub(crate) struct Settling<'a> {
    span: Span,
    shard: &'a ShardRuntime,
    operation: Operation,
    began: Instant,
}

impl<'a> Settling<'a> {
    /// Of one job it is a child of its process span, of several a root with a link to each. `describe` sets what one
    /// job has besides.
    pub(crate) fn begin(
        shard: &'a ShardRuntime,
        operation: Operation,
        jobs: &[(EntryId, &Context)],
        describe: impl FnOnce(&mut Attributes),
    ) -> Self {
        let began = Instant::now();
        let span = if shard.telemetry.is_on() {
            settlement_span(shard, operation, jobs, describe)
        } else {
            Span::none()
        };
        Self { span, shard, operation, began }
    }

    /// Of a job that waits before any work on it has begun, or is handed back in the middle: a child of what its
    /// attempts are children of. Answers its `_traceparent` besides, where the job's fields do not have it yet.
    pub(crate) fn waiting(
        shard: &'a ShardRuntime,
        operation: Operation,
        delivery: &Delivery,
        job: Option<&Job>,
        describe: impl FnOnce(&mut Attributes),
    ) -> (Self, Option<String>) {
        let began = Instant::now();
        if !shard.telemetry.is_on() {
            return (Self { span: Span::none(), shard, operation, began }, None);
        }
        let origin = Origin::of(&shard.telemetry, delivery, job);
        let operations = shard.queue.operations();
        let builder = operations.span(operation).parent(origin.context());
        let builder = match origin.is_known() {
            true => builder,
            false => Before::of(&shard.telemetry, delivery, job, &origin).link(builder),
        };
        let span = builder.start(|attributes| {
            operations.describe(operation, attributes);
            attributes.set(semconv::MESSAGING_MESSAGE_ID, delivery.lease.entry.to_string());
            describe(attributes);
        });
        begins_trace(delivery, &origin, &span);
        let keep = if origin.is_written() { None } else { origin.to_keep(&span.context()) };
        (Self { span, shard, operation, began }, keep)
    }

    /// The job is due after so long by Redis' clock, or its flow is asked again.
    pub(crate) fn due_in(&self, wait: Duration) {
        self.span.set_with(names::JOB_DUE_AT, || {
            let due = Duration::from_millis(self.shard.queue.clock().now()) + wait;
            humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + due).to_string().into()
        });
    }

    /// The span, as the parent of others.
    pub(crate) fn context(&self) -> Context {
        self.span.context()
    }

    /// It is written, or was refused.
    pub(crate) fn end(self, error: Option<&ErrorType>) {
        if let Some(error) = error {
            self.span.fail(error);
        }
        self.shard.queue.operations().took(self.operation, self.began, error);
    }
}

fn settlement_span(
    shard: &ShardRuntime,
    operation: Operation,
    jobs: &[(EntryId, &Context)],
    describe: impl FnOnce(&mut Attributes),
) -> Span {
    let operations = shard.queue.operations();
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
        describe(attributes);
    })
}
