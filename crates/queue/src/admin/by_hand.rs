//! Changes single jobs by hand. Each change is one script, which is harmless when repeated, and has one span.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fred::types::{Key, Value};
use telemetry::{Context, Span, semconv};

use super::{DeadLetter, FoundJob, Inspector, Place, field, text};
use crate::job::{Admitted, EntryId, LinePlace, Producer, Reason};
use crate::redis::{
    Error, GROUP, Keys, LogBounds, Mark, Operation, Operations, QueueName, number, unexpected,
};
use crate::trail::{CallbackJob, LogRecord, TraceparentOnly, fields as written, history};
use crate::work::push_bounds;

/// The result of cancelling a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The job was not running and will not be sent.
    Before,
    /// It was running: its request may have been sent.
    WhileRunning,
    /// It no longer exists.
    Gone,
    /// It has too many fields for a script to move it.
    Unmovable,
}

/// The result of replaying a dead letter, or of running a waiting job now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The job is in the stream under this id.
    As(EntryId),
    /// It no longer exists.
    Gone,
    /// It is not a job, or has too many fields.
    NoJob,
}

impl Inspector {
    /// Cancels a job in any state and dead-letters it.
    ///
    /// # Errors
    /// fred's. The job is then where it was, or both there and among the dead letters.
    pub async fn cancel(&self, job: &FoundJob) -> Result<Cancelled, Error> {
        let act = self.act_on(Operation::Cancel, job);
        let cancelled = self.move_to_dead(job, &act.span.context()).await;
        act.end(cancelled.as_ref().err());
        cancelled
    }

    async fn move_to_dead(&self, job: &FoundJob, span: &Context) -> Result<Cancelled, Error> {
        const ERROR: &str = "cancelled by hand, with `postrider jobs cancel`";
        let Some(callback) = self.callback(job, ERROR, span).await? else { return Ok(Cancelled::Gone) };
        let own = Self::keys(&job.queue);
        let result = written::cancelled(&job.fields, ERROR);
        let result_key = if result.is_some() { own.result(job.id.as_bytes()) } else { own.dead.clone() };
        let mut bounds = vec![ERROR.into()];
        let log = self.log_bounds(&job.queue).await?;
        push_bounds(&mut bounds, Reason::Cancelled, result.as_ref().map(|(ttl, text)| (*ttl, text.as_str())));
        let reply = match &job.place {
            Place::Scheduled(_) | Place::Held { .. } | Place::InLine { .. } => {
                let (set, flows) = waiting_sets(&own, &job.place);
                let is_in_line = matches!(job.place, Place::InLine { .. });
                let waiting = if is_in_line { &own.order_waiting } else { &own.waiting };
                let mut keys = vec![waiting.clone(), set, own.dead.clone(), own.sizes.clone(), result_key];
                keys.extend([flows, own.stats.clone(), own.jobs.clone(), own.mark.clone()]);
                push_record(log, job, callback.as_ref(), &mut keys, &mut bounds);
                push_callback(callback, &mut bounds);
                bounds.insert(0, job.id.as_str().into());
                let scripts = &self.scripts;
                let script = match push_line(&own, job, &mut keys, &mut bounds) {
                    true => &scripts.in_line.cancel_waiting,
                    false => &scripts.cancel_waiting,
                };
                script.call(&self.redis, &Context::none(), keys, bounds).await?
            }
            Place::Ready(entry) | Place::Running { entry, .. } => {
                let mut keys = vec![own.jobs.clone(), own.dead.clone(), own.sizes.clone(), result_key];
                keys.extend([own.mark.clone(), own.stats.clone()]);
                push_record(log, job, callback.as_ref(), &mut keys, &mut bounds);
                push_callback(callback, &mut bounds);
                let mut args = vec![GROUP.into(), entry.to_string().into(), job.id.as_str().into()];
                args.append(&mut bounds);
                let scripts = &self.scripts;
                let script = match push_line(&own, job, &mut keys, &mut args) {
                    true => &scripts.in_line.cancel_ready,
                    false => &scripts.cancel_ready,
                };
                script.call(&self.redis, &Context::none(), keys, args).await?
            }
        };
        match text(&reply)?.as_str() {
            "o" => Ok(Cancelled::Before),
            "r" => Ok(Cancelled::WhileRunning),
            "g" => Ok(Cancelled::Gone),
            "b" => Ok(Cancelled::Unmovable),
            _ => Err(unexpected()),
        }
    }

    /// The job that reports that a job is cancelled, if it has one. A search truncates long values, so its fields are read
    /// again: returns `None` if the job has moved since.
    async fn callback(
        &self,
        job: &FoundJob,
        error: &str,
        span: &Context,
    ) -> Result<Option<Option<CallbackJob>>, Error> {
        if field(&job.fields, "on_failure").is_none() {
            return Ok(Some(None));
        }
        let Some(whole) = self.whole(job).await? else { return Ok(None) };
        let time = self.command("TIME", Some(&Self::keys(&job.queue).jobs), vec![]).await?;
        let (seconds, micros): (u64, u64) = time.convert()?;
        let (names, now) = ((whole.id.as_str(), job.queue.queue.as_str()), seconds * 1000 + micros / 1000);
        let kept =
            || field(&whole.fields, "_traceparent").map(|text| String::from_utf8_lossy(text).into_owned());
        let traceparent = span.traceparent().or_else(kept);
        let times = (entered(&whole), now);
        Ok(Some(CallbackJob::of_cancelled(names, &whole.fields, error, times, traceparent)))
    }

    /// Moves a scheduled or held job to the stream. A held job passes its flow's rate limit and breaker, but
    /// not its concurrency limit.
    ///
    /// # Errors
    /// fred's. The job then still waits, or both waits and is in the stream.
    pub async fn run_now(&self, job: &FoundJob) -> Result<Replayed, Error> {
        let act = self.act_on(Operation::RunNow, job);
        let own = Self::keys(&job.queue);
        let (set, flows) = waiting_sets(&own, &job.place);
        let keys: Vec<Key> = vec![own.jobs, own.waiting, set, flows];
        let args: Vec<Value> = vec![job.id.as_str().into(), Admitted::Yes.as_str().into()];
        let reply = self.scripts.run_now.call(&self.redis, &act.span.context(), keys, args).await;
        let replayed = reply.and_then(|reply| moved(&reply));
        act.end(replayed.as_ref().err());
        replayed
    }

    /// Begins an operation on one job, in the job's trace if it has one.
    fn act_on(&self, operation: Operation, job: &FoundJob) -> OperationByHand {
        let kept = || {
            let text = field(&job.fields, "_traceparent")?;
            Some(self.telemetry.extract(&TraceparentOnly(String::from_utf8(text.to_vec()).ok()?)))
        };
        let producer = self.telemetry.extract(&Producer(&job.fields));
        let is_replay = field(&job.fields, "_replay_of").is_some();
        let origin = if producer.is_some() && !is_replay { Some(producer) } else { kept() };
        let act = self.act(operation, &job.queue.queue, &origin.unwrap_or_else(Context::none));
        act.span.set_with(semconv::MESSAGING_MESSAGE_ID, || match &job.place {
            Place::Ready(entry) | Place::Running { entry, .. } => entry.to_string().into(),
            Place::Scheduled(_) | Place::Held { .. } | Place::InLine { .. } => job.id.clone().into(),
        });
        act
    }

    /// Begins an operation by hand.
    pub(super) fn act(&self, operation: Operation, queue: &QueueName, parent: &Context) -> OperationByHand {
        let (operations, began) = (self.operations(queue), Instant::now());
        let builder = operations.span(operation).parent(parent);
        let span = builder.start(|attributes| operations.describe(operation, attributes));
        OperationByHand { span, operations, operation, began }
    }

    /// Replaces a dead letter by a new job. The replay's span is the root of a new trace, with links to the
    /// producer's span and to the last attempt. The new job's attempts are children of this span.
    ///
    /// # Errors
    /// fred's. The dead letter then still exists, and the new job may exist.
    pub async fn replay(&self, letter: &DeadLetter, expires_in: Option<Duration>) -> Result<Replayed, Error> {
        let (operations, began) = (self.operations(&letter.queue.queue), Instant::now());
        let span = self.replay_span(&operations, letter).await;
        let own = Self::keys(&letter.queue);
        let expires = expires_in.map_or(0, |time| time.as_millis().max(1) as u64);
        let traceparent = span.context().traceparent().unwrap_or_default();
        let mut args: Vec<Value> = vec![
            letter.entry.to_string().into(),
            number(expires),
            traceparent.into(),
            Mark::default().proposal().as_ref().into(),
        ];
        let from = if letter.is_rejected { own.rejected } else { own.dead };
        let mut keys = vec![own.jobs, from, own.mark];
        if let Some(place) = &letter.place {
            keys.extend([own.order, own.order_stopped]);
            args.extend([place.as_str().into(), place.position().unwrap_or_default().into()]);
        }
        let reply = self.scripts.replay.call(&self.redis, &span.context(), keys, args).await;
        let replayed = reply.and_then(|reply| moved(&reply));
        let error = replayed.as_ref().err().map(fred_otel::error_type);
        if let Some(error) = &error {
            span.fail(error);
        }
        operations.record_duration(Operation::Replay, began, error.as_ref());
        match &replayed {
            Ok(Replayed::As(job)) => {
                span.set_with(semconv::MESSAGING_MESSAGE_ID, || job.to_string().into());
                operations.sent(Operation::Replay, 1, None);
            }
            Ok(_) => {}
            Err(_) => operations.sent(Operation::Replay, 1, error.as_ref()),
        }
        replayed
    }

    async fn replay_span(&self, operations: &Operations, letter: &DeadLetter) -> Span {
        // The fields of a listed letter are truncated.
        let whole = match self.telemetry.is_on() {
            true => self.dead_letter(&letter.queue, &letter.entry.to_string()).await.unwrap_or_default(),
            false => vec![],
        };
        let fields = whole.first().map_or(&letter.fields, |whole| &whole.fields);
        let producer = self.telemetry.extract(&Producer(fields));
        let last = history::last_traceparent(field(fields, "_history"));
        let last = last.map_or_else(Context::none, |text| self.telemetry.extract(&TraceparentOnly(text)));
        let root = Context::none();
        let builder = operations.span(Operation::Replay).parent(&root).link(&producer).link(&last);
        builder.start(|attributes| operations.describe(Operation::Replay, attributes))
    }
}

/// A running operation by hand, with its span.
pub(super) struct OperationByHand {
    pub(super) span: Span,
    operations: Arc<Operations>,
    operation: Operation,
    began: Instant,
}

impl OperationByHand {
    /// Ends the operation, and records its error.
    pub(super) fn end(self, error: Option<&Error>) {
        let error = error.map(fred_otel::error_type);
        if let Some(error) = &error {
            self.span.fail(error);
        }
        self.operations.record_duration(self.operation, self.began, error.as_ref());
    }
}

/// Adds what the delivery log gets of a cancelled job, if there is one.
fn push_record(
    log: Option<LogBounds>,
    job: &FoundJob,
    callback: Option<&CallbackJob>,
    keys: &mut Vec<Key>,
    args: &mut Vec<Value>,
) {
    let Some(bounds) = log else { return };
    bounds.push(&Inspector::keys(&job.queue), keys, args);
    let record = LogRecord::of_fields(&job.id, &job.fields, entered(job), Reason::Cancelled);
    let callback = callback.map(|callback| callback.job_id.as_str().into());
    args.push(LogRecord { callback, ..record }.pack().into());
}

/// Adds the callback of a cancelled job, if it has one, and a mark for a shard without one.
fn push_callback(callback: Option<CallbackJob>, args: &mut Vec<Value>) {
    if let Some(callback) = callback {
        let mark = Mark::default().proposal();
        args.extend([callback.list(None).into(), callback.job_id.into(), mark.as_ref().into()]);
    }
}

/// The time in the id of a job's entry, Unix ms; 0 if it waits.
fn entered(job: &FoundJob) -> u64 {
    match &job.place {
        Place::Ready(entry) | Place::Running { entry, .. } => entry.millis,
        Place::Scheduled(_) | Place::Held { .. } | Place::InLine { .. } => 0,
    }
}

/// The set that contains a waiting job, and the set of flows; for a scheduled job, both are the schedule.
fn waiting_sets(own: &Keys, place: &Place) -> (Key, Key) {
    match place {
        Place::Held { flow, .. } => (own.flow(*flow), own.flows.clone()),
        // Its place is another text than its id: nothing is removed.
        Place::InLine { .. } => (own.order.clone(), own.order.clone()),
        _ => (own.scheduled.clone(), own.scheduled.clone()),
    }
}

/// Adds what the end of an ordered job needs. Returns whether it is one. A cancelled job stops no line.
fn push_line(own: &Keys, job: &FoundJob, keys: &mut Vec<Key>, args: &mut Vec<Value>) -> bool {
    let Some(place) = LinePlace::of(&job.fields, job.id.as_bytes()) else { return false };
    keys.extend([&own.jobs, &own.order, &own.order_waiting, &own.order_stopped].map(Clone::clone));
    args.extend([place.as_str().into(), 1.into(), "pass".into(), "".into()]);
    true
}

fn moved(reply: &Value) -> Result<Replayed, Error> {
    match text(reply)?.as_str() {
        "g" => Ok(Replayed::Gone),
        "b" => Ok(Replayed::NoJob),
        id => EntryId::parse(id.as_bytes()).map(Replayed::As).ok_or_else(unexpected),
    }
}
