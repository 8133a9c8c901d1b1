//! Builds the transition that ends a delivery, with the fields and the result that it writes. Pure.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::JobResult;
use postrider_queue::job::{Delivery, Fields, FlowId, Job, Malformed, ProducerDelay, Reason};
use postrider_queue::work::fields::{
    enqueued_at, handed_back, job_id, of_malformed, own_fields, push, waited_for, without_place,
};
use postrider_queue::work::history::{self, AttemptRecord};
use postrider_queue::work::{
    CallbackBody, CallbackJob, Kept, KeptResult, LogRecord, Phases, Transition, WaitReason, WaitingJob,
};
use telemetry::Context;

use super::hold::Hold;
use crate::policy::{Outcome, SendResult};

/// A job with its attempts, including this one.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    delivery: &'a Delivery,
    job: &'a Job,
    /// How many attempts have been made.
    pub attempts: u32,
    status: Option<u16>,
    took: Option<Duration>,
    kept: Option<Box<Kept>>,
    history: Option<Bytes>,
    trace: &'a Context,
    queue: &'static str,
    /// Whether a record goes to the delivery log.
    is_logged: bool,
    /// This attempt, if it is logged.
    logged: Option<Box<AttemptRecord>>,
}

impl<'a> Record<'a> {
    /// Starts before an attempt; `trace` is its process span.
    pub(crate) fn new(
        delivery: &'a Delivery,
        job: &'a Job,
        trace: &'a Context,
        queue: &'static str,
        is_logged: bool,
    ) -> Self {
        let history = job.trail.history.clone();
        Self {
            delivery,
            job,
            attempts: job.trail.attempts,
            status: None,
            took: None,
            kept: None,
            history,
            trace,
            queue,
            is_logged,
            logged: None,
        }
    }

    /// Adds an attempt that began `at`, Unix milliseconds. A success enters the history only if the job's
    /// result is kept or reported. A request that the egress policy refused, or that failed at the proxy, does not count
    /// as an attempt: nothing was sent.
    pub(crate) fn attempted(&mut self, result: &SendResult, at: u64, took: Duration, phases: Phases) {
        if result.was_attempt() {
            self.attempts = self.attempts.saturating_add(1);
        }
        self.status = result.status();
        self.took = Some(took);
        if let SendResult::Answer(answer) = result {
            self.kept.clone_from(&answer.kept);
        }
        let is_reported = self.job.result_ttl.is_some() || self.job.callbacks.is_some();
        let is_kept = result.error().is_some() || is_reported;
        if is_kept || self.is_logged {
            let error = match result {
                SendResult::Answer(_) => None,
                SendResult::Failed { error, .. } => Some(error.as_str().into_owned()),
            };
            let traceparent = self.trace.traceparent();
            let (attempt, status) = (self.job.trail.attempts.saturating_add(1), result.status());
            let entry = AttemptRecord { attempt, at, took, status, error, phases, traceparent };
            if is_kept {
                self.history = Some(history::append(self.history.as_ref(), &entry));
            }
            self.logged = self.is_logged.then(|| Box::new(entry));
        }
    }

    /// The transition for an outcome. `keep` is the `_traceparent` of the parent of later attempts, `now`
    /// Redis' time in Unix milliseconds.
    pub(crate) fn transition(self, outcome: Outcome, keep: Option<String>, now: u64) -> Transition {
        match outcome {
            Outcome::Succeeded => {
                let enqueued = enqueued_at(self.delivery, self.job, now);
                let result = self.job.result_ttl.map(|ttl| self.kept(ttl, &self.result("succeeded")));
                let callbacks = self.job.callbacks.as_deref();
                let callback = callbacks.and_then(|callbacks| callbacks.on_success.as_ref());
                let callback = callback.map(|to| self.callback(to, self.result("succeeded"), enqueued, now));
                let log = self.is_logged.then(|| self.log(None, enqueued, callback.as_deref()));
                Transition::Complete { enqueued, result, log, callback }
            }
            Outcome::Retry { after, why } => self.schedule(after, why, keep),
            Outcome::HandedBack { after, why } => self.schedule(after, why, keep),
            Outcome::Dead { reason, error, .. } => self.dead_letter(reason, error, keep, now),
        }
    }

    /// The job waits for its next attempt.
    fn schedule(&self, delay: Duration, why: WaitReason, keep: Option<String>) -> Transition {
        let mut fields = own_fields(&self.delivery.fields);
        self.push_trail(&mut fields, keep);
        let job = WaitingJob { job_id: self.job.id.clone(), enqueued: self.job.trail.at, fields };
        Transition::Schedule { delay, not_before: 0, why, job }
    }

    fn dead_letter(&self, reason: Reason, error: String, keep: Option<String>, now: u64) -> Transition {
        let mut fields = own_fields(&self.delivery.fields);
        push(&mut fields, "_job_id", self.job.id.clone());
        let at = self.job.trail.at.unwrap_or(self.delivery.lease.entry.millis);
        push(&mut fields, "_enqueued_at", at.to_string());
        self.push_trail(&mut fields, keep);
        push(&mut fields, "_reason", reason.as_str());
        push(&mut fields, "_error", error.clone());
        let result = || JobResult {
            reason: Some(reason.as_str().to_owned()),
            error: Some(error.clone()),
            ..self.result("dead")
        };
        let callback = self.job.callbacks.as_deref().and_then(|callbacks| callbacks.on_failure.as_ref());
        let callback = callback.map(|to| self.callback(to, result(), at, now));
        if let Some(callback) = &callback {
            push(&mut fields, "_callback", callback.job_id.clone());
        }
        let result = self.job.result_ttl.map(|ttl| self.kept(ttl, &result()));
        let is_partial = self.delivery.whole_bytes.is_some();
        let log = self.is_logged.then(|| self.log(Some(reason), at, callback.as_deref()));
        let job_id = self.job.id.clone();
        Transition::DeadLetter { job_id, reason, error, fields, is_partial, result, log, callback }
    }

    /// The job that reports this end. It is in the trace of the job: a child of its process span, or without one, of the
    /// parent of that span.
    fn callback(&self, to: &Fields, result: JobResult, enqueued_at: u64, ended_at: u64) -> Box<CallbackJob> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let trail = &self.job.trail;
        let parent = || self.job.context.traceparent.as_ref().or(trail.traceparent.as_ref()).map(text);
        let body = CallbackBody {
            job_id: text(&self.job.id),
            label: text(&self.job.label),
            queue: self.queue.to_owned(),
            enqueued_at,
            // This worker knows Redis' clock to some milliseconds.
            ended_at: ended_at.max(enqueued_at),
            replay_of: trail.replay_of.as_ref().map(text),
            result,
        };
        Box::new(CallbackJob::new(to, &body, self.trace.traceparent().or_else(parent)))
    }

    /// The record for the delivery log: attempts before this delivery, and this one.
    fn log(&self, reason: Option<Reason>, enqueued_at: u64, callback: Option<&CallbackJob>) -> Box<str> {
        let mut attempts = history::attempts(self.job.trail.history.as_ref());
        attempts.extend(self.logged.as_deref().cloned());
        LogRecord {
            job_id: String::from_utf8_lossy(&self.job.id),
            enqueued_at,
            reason: reason.map(|reason| reason.as_str().into()),
            attempts: self.attempts,
            status: self.status,
            // The path and the query may be secrets.
            host: self.job.uri.authority().map(|host| host.as_str().into()),
            label: Some(&self.job.label)
                .filter(|label| **label != self.job.id)
                .map(|label| String::from_utf8_lossy(label)),
            trace_id: self.trace.trace_id().map(Into::into),
            replay_of: self.job.trail.replay_of.as_ref().map(|job_id| String::from_utf8_lossy(job_id)),
            callback: callback.map(|callback| callback.job_id.as_str().into()),
            callback_of: self.job.trail.callback_of.as_ref().map(|job_id| String::from_utf8_lossy(job_id)),
            history: attempts,
        }
        .pack()
        .into()
    }

    fn kept(&self, ttl: Duration, result: &JobResult) -> KeptResult {
        KeptResult { job_id: self.job.id.clone(), ttl, text: result.to_json() }
    }

    fn push_trail(&self, fields: &mut Fields, keep: Option<String>) {
        push(fields, "_attempt", self.attempts.to_string());
        if let Some(job_id) = &self.job.trail.replay_of {
            push(fields, "_replay_of", job_id.clone());
        }
        if let Some(job_id) = &self.job.trail.callback_of {
            push(fields, "_callback_of", job_id.clone());
        }
        if let Some(place) = &self.job.trail.place {
            push(fields, "_place", place.clone());
        }
        if let Some(keep) = keep {
            push(fields, "_traceparent", keep);
        }
        if let Some(history) = &self.history {
            push(fields, "_history", history.clone());
        }
    }

    fn result(&self, outcome: &str) -> JobResult {
        let result = JobResult {
            outcome: outcome.to_owned(),
            status: self.status,
            attempts: self.attempts,
            trace_id: self.trace.trace_id(),
            duration_ms: self.took.map(|took| took.as_millis() as u64),
            history: history::parse(self.history.as_ref()),
            ..JobResult::default()
        };
        match &self.kept {
            Some(kept) => result.with(kept),
            None => result,
        }
    }
}

/// The dead letter of an entry that is not a job, or that needs a policy or secret this worker does not have.
pub(crate) fn malformed(
    delivery: &Delivery,
    malformed: &Malformed,
    trace_id: Option<String>,
    is_logged: bool,
) -> Transition {
    let job_id = job_id(delivery);
    let Malformed { reason, error } = malformed.clone();
    let result = waited_for(&delivery.fields).map(|ttl| {
        let result = JobResult { trace_id, ..JobResult::dead(0, reason, &error) };
        KeptResult { job_id: job_id.clone(), ttl, text: result.to_json() }
    });
    let (fields, is_partial) = (of_malformed(delivery, malformed), delivery.whole_bytes.is_some());
    let log = is_logged.then(|| {
        let job_id = String::from_utf8_lossy(&job_id);
        let record = LogRecord::of_fields(&job_id, &delivery.fields, delivery.lease.entry.millis, reason);
        record.pack().into()
    });
    Transition::DeadLetter { job_id, reason, error, fields, is_partial, result, log, callback: None }
}

/// The job waits for the time that its producer set.
pub(super) fn delayed(delivery: &Delivery, job: &Job, wait: ProducerDelay) -> Transition {
    let ProducerDelay { delay, not_before } = wait;
    Transition::Schedule { delay, not_before, why: WaitReason::Delay, job: unsent(delivery, job) }
}

/// The job waits for its flow.
/// `expires` is when it does, Unix milliseconds.
pub(super) fn held(
    delivery: &Delivery,
    job: &Job,
    flow: FlowId,
    hold: Hold,
    expires: Option<u64>,
) -> Transition {
    let Hold { within, why, rank, is_scheduled } = hold;
    let job = unsent(delivery, job);
    if is_scheduled {
        return Transition::Schedule { delay: within, not_before: 0, why, job };
    }
    Transition::Hold { flow, within, why, rank, expires, job }
}

/// The job returns to the stream, since its lease could not be confirmed. `now` is Redis' time, Unix
/// milliseconds.
pub(super) fn hand_back(delivery: &Delivery, now: u64) -> Transition {
    Transition::HandBack { why: WaitReason::Redis, fields: handed_back(delivery, now) }
}

/// A job that waits before its attempt, with all its fields.
fn unsent(delivery: &Delivery, job: &Job) -> WaitingJob {
    let fields = without_place(&delivery.fields);
    WaitingJob { job_id: job.id.clone(), enqueued: job.trail.at, fields }
}
