//! The parent and the links of a job's spans.

use bytes::Bytes;
use postrider_queue::job::{Delivery, Job, Producer, Trail};
use postrider_queue::work::{TraceparentOnly, fields, history};
use telemetry::{Context, SpanBuilder, Telemetry};

/// The parent of a job's spans: the producer's span, or without one, the job's first span. A replay does not
/// use the producer's span.
#[derive(Debug)]
pub(super) struct Origin {
    context: Context,
    is_producers: bool,
    /// The unchanged `_traceparent`. It is passed on even if telemetry is off.
    kept: Option<Bytes>,
}

impl Origin {
    /// `job` is `None` for a malformed entry.
    pub(super) fn of(telemetry: &Telemetry, delivery: &Delivery, job: Option<&Job>) -> Self {
        let kept = match job {
            Some(job) => job.trail.traceparent.clone(),
            None => fields::value(&delivery.fields, "_traceparent"),
        };
        if !telemetry.is_on() {
            return Self { context: Context::none(), is_producers: false, kept };
        }
        if !is_replay(delivery, job) {
            let context = producer(telemetry, delivery, job);
            if context.is_some() {
                return Self { context, is_producers: true, kept: None };
            }
        }
        let text = kept.as_ref().and_then(|text| String::from_utf8(text.to_vec()).ok());
        let context = text.map_or_else(Context::none, |text| Context::extract(&TraceparentOnly(text)));
        match delivery.first_span.get() {
            Some(first) if !context.is_some() => {
                Self { context: first.clone(), is_producers: false, kept: None }
            }
            _ => Self { kept: kept.filter(|_| context.is_some()), context, is_producers: false },
        }
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Whether there is an earlier span: one of the job, or the producer's.
    pub(super) fn is_known(&self) -> bool {
        self.context.is_some()
    }

    /// Whether the job's fields already contain it.
    pub(super) fn is_written(&self) -> bool {
        self.is_producers || self.kept.is_some()
    }

    /// The `_traceparent` of a job whose span is `own`; `None` if the producer's fields contain it.
    pub(super) fn traceparent_to_keep(&self, own: &Context) -> Option<String> {
        if self.is_producers {
            return None;
        }
        let span = if self.is_known() { &self.context } else { own };
        let kept = || String::from_utf8(self.kept.as_ref()?.to_vec()).ok();
        span.traceparent().or_else(kept)
    }
}

fn is_replay(delivery: &Delivery, job: Option<&Job>) -> bool {
    match job {
        Some(job) => job.trail.replay_of.is_some(),
        None => fields::value(&delivery.fields, "_replay_of").is_some(),
    }
}

fn producer(telemetry: &Telemetry, delivery: &Delivery, job: Option<&Job>) -> Context {
    match job {
        Some(job) => telemetry.extract(&job.context),
        None => telemetry.extract(&Producer(&delivery.fields)),
    }
}

/// The earlier spans that a span links to.
#[derive(Debug)]
pub(super) struct Before {
    /// The previous attempt.
    attempt: Context,
    /// The producer's span of the replayed job, unless the first span of the replay's trace already has this
    /// link.
    replayed: Context,
    /// Whether this job has an earlier attempt.
    pub(super) is_again: bool,
}

impl Before {
    pub(super) fn of(telemetry: &Telemetry, delivery: &Delivery, job: Option<&Job>, origin: &Origin) -> Self {
        let trail = job.map(|job| &job.trail);
        let is_replay = is_replay(delivery, job);
        let is_again = trail.is_some_and(|trail| trail.attempts > 0 || !is_replay && trail.history.is_some());
        let history = trail.filter(|_| is_again || is_replay).and_then(last_span);
        let attempt = history.map_or_else(Context::none, |text| Context::extract(&TraceparentOnly(text)));
        let is_first = is_replay && !origin.is_known();
        let replayed = if is_first { producer(telemetry, delivery, job) } else { Context::none() };
        Self { attempt, replayed, is_again }
    }

    pub(super) fn link<'a>(&self, builder: SpanBuilder<'a>) -> SpanBuilder<'a> {
        builder.link(&self.attempt).link(&self.replayed)
    }
}

fn last_span(trail: &Trail) -> Option<String> {
    history::last_traceparent(trail.history.as_ref())
}
