//! The spans of the work on a job and of its settlement, with their parents and links: the producer's span
//! and earlier attempts.

mod origin;
mod settlement_span;
mod waits;

use std::sync::Arc;
use std::time::Instant;

use postrider_queue::job::{Delivery, Job};
use postrider_queue::names;
use postrider_queue::work::{Operation, QueueShard};
use telemetry::{Context, ErrorType, Span, Telemetry, semconv};

use crate::observe::counters::Counts;
use crate::observe::retry_traces::Retries;
use crate::policy::Outcome;
use origin::{Before, Origin};
use waits::Waits;

pub(crate) use settlement_span::Settling;

/// Makes the spans of the jobs of one shard.
#[derive(Clone, Debug)]
pub(crate) struct JobSpans {
    /// Records spans.
    pub telemetry: Telemetry,
    /// The shard.
    pub queue: QueueShard,
    /// Records how long jobs have waited.
    pub counts: Arc<Counts>,
    /// How the traces of further attempts are connected to the earlier ones.
    pub retries: Retries,
}

/// The process span of one delivery.
#[derive(Debug)]
pub(crate) struct Process<'a> {
    span: Span,
    spans: &'a JobSpans,
    began: Instant,
    origin: Origin,
    has_ended: bool,
}

impl<'a> Process<'a> {
    /// Begins the span. By default, all attempts of a job are children of the producer's span, or without
    /// one, of the job's first span, and each links to the attempt before; [`Retries`] has the alternatives.
    /// A replay starts a new trace, with links to the producer's span and to the last attempt of the replayed
    /// job. `job` is `None` for a malformed entry.
    pub(crate) fn begin(spans: &'a JobSpans, delivery: &Delivery, job: Option<&Job>) -> Self {
        let began = Instant::now();
        let waits = job.map_or_else(Waits::default, |job| Waits::of(spans, delivery, job));
        let origin = Origin::of(&spans.telemetry, delivery, job);
        let span = if spans.telemetry.is_on() {
            let span = span(spans, delivery, job, &origin, waits);
            begins_trace(delivery, &origin, &span);
            span
        } else {
            Span::none()
        };
        Self { span, spans, began, origin, has_ended: false }
    }

    /// When it began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// The span, as the parent of others.
    pub(crate) fn context(&self) -> Context {
        self.span.context()
    }

    /// The `_traceparent` of the next attempt's parent; `None` if that is the producer's span.
    pub(crate) fn traceparent_to_keep(&self) -> Option<String> {
        self.origin.traceparent_to_keep(&self.span.context())
    }

    /// Ends the span. Only a job that is dead-lettered makes it an error: a delivery that schedules another
    /// attempt has dealt with the failure, and the attempt's own span is marked as an error.
    pub(crate) fn end(mut self, outcome: &Outcome) {
        self.has_ended = true;
        self.span.set(names::JOB_OUTCOME, outcome.as_str());
        let error = match outcome {
            Outcome::Dead { reason, error_type, error } => {
                self.span.set(names::JOB_DEAD_REASON, reason.as_str());
                self.span.fail_with(error_type, || error.clone().into());
                Some(error_type)
            }
            _ => None,
        };
        self.spans.queue.operations().record_duration(Operation::Process, self.began, error);
    }
}

/// The work ended without an outcome: the lease was lost, or the worker's time to shut down was over. Only a
/// panic is an error.
impl Drop for Process<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.span.set(names::JOB_OUTCOME, "interrupted");
            let error = std::thread::panicking().then_some(&ErrorType::Panic);
            self.spans.queue.operations().record_duration(Operation::Process, self.began, error);
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

fn span(spans: &JobSpans, delivery: &Delivery, job: Option<&Job>, origin: &Origin, waits: Waits) -> Span {
    let operations = spans.queue.operations();
    let root = Context::none();
    let before = Before::of(&spans.telemetry, delivery, job, origin);
    let builder = operations.span(Operation::Process);
    let builder = match spans.retries {
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
            if let Some(reported) = &job.trail.callback_of {
                attributes.set(names::JOB_CALLBACK_OF, String::from_utf8_lossy(reported).into_owned());
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
