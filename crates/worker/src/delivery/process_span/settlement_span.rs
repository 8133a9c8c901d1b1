//! The span of a settlement.

use std::time::{Duration, Instant};

use postrider_queue::job::{Delivery, EntryId, Job};
use postrider_queue::names;
use postrider_queue::work::{Operation, QueueShard};
use telemetry::{Attributes, Context, ErrorType, Span, semconv};

use super::origin::{Before, Origin};
use super::{JobSpans, begins_trace};

/// The span of a running settlement.
#[derive(Debug)]
pub(crate) struct Settling {
    span: Span,
    queue: QueueShard,
    operation: Operation,
    began: Instant,
}

impl Settling {
    /// The settlement of one job is a child of its process span; that of several is a root with a link to
    /// each. `describe` adds attributes.
    pub(crate) fn begin(
        spans: &JobSpans,
        operation: Operation,
        jobs: &[(EntryId, &Context)],
        describe: impl FnOnce(&mut Attributes),
    ) -> Self {
        let began = Instant::now();
        let span = if spans.telemetry.is_on() {
            settlement_span(spans, operation, jobs, describe)
        } else {
            Span::none()
        };
        Self { span, queue: spans.queue.clone(), operation, began }
    }

    /// The settlement of a job that is postponed before an attempt, or handed back during one. It has the
    /// same parent as the job's attempts. Also returns the `_traceparent` to add to the job's fields, if they
    /// lack it.
    pub(crate) fn waiting(
        spans: &JobSpans,
        operation: Operation,
        delivery: &Delivery,
        job: Option<&Job>,
        describe: impl FnOnce(&mut Attributes),
    ) -> (Self, Option<String>) {
        let began = Instant::now();
        if !spans.telemetry.is_on() {
            return (Self { span: Span::none(), queue: spans.queue.clone(), operation, began }, None);
        }
        let origin = Origin::of(&spans.telemetry, delivery, job);
        let operations = spans.queue.operations();
        let builder = operations.span(operation).parent(origin.context());
        let builder = match origin.is_known() {
            true => builder,
            false => Before::of(&spans.telemetry, delivery, job, &origin).link(builder),
        };
        let span = builder.start(|attributes| {
            operations.describe(operation, attributes);
            attributes.set(semconv::MESSAGING_MESSAGE_ID, delivery.lease.entry.to_string());
            describe(attributes);
        });
        begins_trace(delivery, &origin, &span);
        let keep = if origin.is_written() { None } else { origin.traceparent_to_keep(&span.context()) };
        (Self { span, queue: spans.queue.clone(), operation, began }, keep)
    }

    /// The job is due, or its flow is checked again, after `wait` by Redis' clock.
    pub(crate) fn due_in(&self, wait: Duration) {
        self.span.set_with(names::JOB_DUE_AT, || {
            let due = Duration::from_millis(self.queue.clock().now()) + wait;
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
        self.queue.operations().record_duration(self.operation, self.began, error);
    }
}

fn settlement_span(
    spans: &JobSpans,
    operation: Operation,
    jobs: &[(EntryId, &Context)],
    describe: impl FnOnce(&mut Attributes),
) -> Span {
    let operations = spans.queue.operations();
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
