//! The span of the work on a job, and how it hangs together with the producer's and with earlier attempts.

use telemetry::{Carrier, Context, ErrorType, Span, SpanKind, Telemetry, Timer, semconv};

use crate::entry::{Delivery, Producer};
use crate::history;
use crate::job::{Job, Trail};
use crate::lane::Lane;
use crate::reason::Reason;

/// The work on one delivery, recorded.
#[derive(Debug)]
pub struct Process {
    span: Span,
    timer: Timer,
    /// Whether the producer has said what attempts are children of; else the first attempt's span is.
    has_producer: bool,
    kept: Option<String>,
}

/// A `traceparent` that stands alone.
struct Alone(String);

impl Carrier for Alone {
    fn get(&self, name: &str) -> Option<&str> {
        (name == "traceparent").then_some(self.0.as_str())
    }
    fn set(&mut self, _: &'static str, _: String) {}
}

/// Where a job's process span belongs.
struct Relatives {
    parent: Context,
    /// The attempt before.
    before: Context,
    /// The `traceparent` of the first attempt, where attempts are children of that.
    kept: Option<String>,
    replayed: bool,
}

impl Relatives {
    fn of(telemetry: &Telemetry, trail: Option<&Trail>, producer: &Context) -> Self {
        let alone = |text: String| telemetry.extract(&Alone(text));
        let replayed = trail.is_some_and(|trail| trail.replay_of.is_some());
        let adopted = producer.is_some() && !replayed;
        let kept = trail.and_then(|trail| trail.traceparent.as_ref()).filter(|_| !adopted);
        let kept = kept.and_then(|text| String::from_utf8(text.to_vec()).ok());
        let parent = match &kept {
            Some(kept) => alone(kept.clone()),
            None if adopted => producer.clone(),
            None => Context::none(),
        };
        let before = match trail.filter(|trail| trail.attempts > 0 || replayed) {
            Some(trail) => history::last_traceparent(trail.history.as_ref()).map_or(Context::none(), alone),
            None => Context::none(),
        };
        Self { parent, before, kept, replayed }
    }
}

impl Process {
    /// Begins the span. All attempts of a delivery are children of the producer's span, or where there was
    /// none, of the first attempt's; each has a link to the one before. A replay is a new trace, with links to
    /// the producer and to the last attempt of the job that it was. `job` is `None` for a malformed entry.
    pub fn begin(lane: &Lane, delivery: &Delivery, job: Option<&Job>) -> Self {
        let names = lane.queue.names();
        let timer = lane.duration.time(|attributes| {
            attributes.set(semconv::MESSAGING_SYSTEM, "redis");
            attributes.set(semconv::MESSAGING_OPERATION_NAME, "process");
            attributes.set(semconv::MESSAGING_DESTINATION_NAME, names.queue);
            attributes.set(semconv::MESSAGING_CONSUMER_GROUP_NAME, lane.queue.group());
        });
        let producer = lane.telemetry.extract(&Producer(&delivery.fields));
        let Relatives { parent, before, kept, replayed } =
            Relatives::of(&lane.telemetry, job.map(|job| &job.trail), &producer);
        let builder = lane.telemetry.span(SpanKind::Consumer, names.process).parent(&parent).link(&before);
        let builder = if replayed && kept.is_none() { builder.link(&producer) } else { builder };
        let span = builder.start(|attributes| {
            attributes.set(semconv::MESSAGING_SYSTEM, "redis");
            attributes.set(semconv::MESSAGING_OPERATION_NAME, "process");
            attributes.set(semconv::MESSAGING_OPERATION_TYPE, "process");
            attributes.set(semconv::MESSAGING_DESTINATION_NAME, names.queue);
            attributes.set(semconv::MESSAGING_CONSUMER_GROUP_NAME, lane.queue.group());
            attributes.set(semconv::MESSAGING_CLIENT_ID, lane.queue.consumer().name.clone());
            attributes.set(semconv::MESSAGING_MESSAGE_ID, delivery.lease.entry.to_string());
            if let Some(job) = job {
                let id = String::from_utf8_lossy(&job.id).into_owned();
                attributes.set(semconv::MESSAGING_MESSAGE_CONVERSATION_ID, id);
                attributes.set(semconv::POSTRIDER_JOB_ATTEMPT, job.trail.attempts + 1);
            }
        });
        Self { span, timer, has_producer: producer.is_some() && !replayed, kept }
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
        self.end("done", None);
    }

    /// The attempt failed and there will be another.
    pub fn retry(self, error: &ErrorType) {
        self.end("retry", Some(error));
    }

    /// The job is handed back for a fault that is not its own.
    pub fn release(self, error: &ErrorType) {
        self.end("release", Some(error));
    }

    /// The job ended among the dead letters.
    pub fn dead(self, reason: Reason, error: Option<&ErrorType>) {
        self.span.set(semconv::POSTRIDER_JOB_DEAD_REASON, reason.as_str());
        self.end("dead", error);
    }

    fn end(mut self, outcome: &'static str, error: Option<&ErrorType>) {
        self.span.set(semconv::POSTRIDER_JOB_OUTCOME, outcome);
        if let Some(error) = error {
            self.span.fail(error);
            self.timer.set(semconv::ERROR_TYPE, error);
        }
        self.timer.stop();
    }
}

/// The span of a settlement: of one job under its process span, of several as a root with a link to each.
pub fn ack(lane: &Lane, jobs: &[&Context]) -> Span {
    let names = lane.queue.names();
    let root = Context::none();
    let builder = lane.telemetry.span(SpanKind::Client, names.ack);
    let builder = match jobs {
        [job] => builder.parent(job),
        jobs => jobs.iter().fold(builder.parent(&root), |builder, job| builder.link(job)),
    };
    builder.start(|attributes| {
        attributes.set(semconv::MESSAGING_SYSTEM, "redis");
        attributes.set(semconv::MESSAGING_OPERATION_NAME, "ack");
        attributes.set(semconv::MESSAGING_OPERATION_TYPE, "settle");
        attributes.set(semconv::MESSAGING_DESTINATION_NAME, names.queue);
        attributes.set(semconv::MESSAGING_CONSUMER_GROUP_NAME, lane.queue.group());
        if jobs.len() > 1 {
            attributes.set(semconv::MESSAGING_BATCH_MESSAGE_COUNT, jobs.len());
        }
    })
}
