//! The spans of the work on a job and of its settlement, with their parents and links: the producer's span
//! and earlier attempts.

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

/// The process span of one delivery.
#[derive(Debug)]
pub(crate) struct Process<'a> {
    span: Span,
    shard: &'a ShardRuntime,
    began: Instant,
    origin: Origin,
    has_ended: bool,
}

impl<'a> Process<'a> {
    /// Begins the span. By default, all attempts of a job are children of the producer's span, or without
    /// one, of the job's first span, and each links to the attempt before; [`Retries`] has the alternatives.
    /// A replay starts a new trace, with links to the producer's span and to the last attempt of the replayed
    /// job. `job` is `None` for a malformed entry.
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

    /// The `_traceparent` of the next attempt's parent; `None` if that is the producer's span.
    pub(crate) fn keep(&self) -> Option<String> {
        self.origin.to_keep(&self.span.context())
    }

    /// The job is delivered.
    pub(crate) fn done(self) {
        self.end(OutcomeKind::Done);
    }

    /// The attempt failed, and the job will be retried. This delivery has dealt with the failure, so only the
    /// attempt's span is marked as an error.
    pub(crate) fn retry(self) {
        self.end(OutcomeKind::Retry);
    }

    /// Nothing was sent, for a fault that is not the job's own.
    pub(crate) fn release(self) {
        self.end(OutcomeKind::Release);
    }

    /// The job is dead-lettered. `text` is the reason in one sentence, without secrets.
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

/// The work ended without an outcome: the lease was lost, or the worker's time to shut down was over. Only a
/// panic is an error.
impl Drop for Process<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.span.set(names::JOB_OUTCOME, "cut");
            let error = std::thread::panicking().then_some(&ErrorType::Panic);
            self.shard.queue.operations().took(Operation::Process, self.began, error);
        }
    }
}

/// Makes the first span of a job without a producer's span the parent of its other spans.
fn begins_trace(delivery: &Delivery, origin: &Origin, span: &Span) {
    if !origin.is_known() {
        // It cannot be set already: then the origin would be known.
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
        // All attempts have the same span name: this attribute distinguishes them.
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
    // Later log records of the job carry this span.
    telemetry::belongs_to(&span.context());
    span
}

/// The span of a running settlement.
#[derive(Debug)]
pub(crate) struct Settling<'a> {
    span: Span,
    shard: &'a ShardRuntime,
    operation: Operation,
    began: Instant,
}

impl<'a> Settling<'a> {
    /// The settlement of one job is a child of its process span; that of several is a root with a link to
    /// each. `describe` adds attributes.
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

    /// The settlement of a job that is postponed before an attempt, or handed back during one. It has the
    /// same parent as the job's attempts. Also returns the `_traceparent` to add to the job's fields, if they
    /// lack it.
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

    /// The job is due, or its flow is checked again, after `wait` by Redis' clock.
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

    /// Ends the span after Redis wrote or refused the settlement.
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
            // None of the jobs is recorded, so the settlement is not either.
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
