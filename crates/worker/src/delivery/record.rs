//! Builds the fields and the result that a settlement writes with a job. Pure.

use std::time::Duration;

use bytes::Bytes;
use postrider_queue::JobResult;
use postrider_queue::job::{Delivery, Fields, Job, Malformed, Reason};
use postrider_queue::work::fields::{enqueued_at, job_id, of_malformed, own_fields, push, waited_for};
use postrider_queue::work::{Kept, NewDeadLetter, Phases, Postponement, Until, WaitReason, history};
use telemetry::Context;

use crate::delivery::settlement::Settlement;
use crate::policy::SendResult;

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
    keep: Option<String>,
}

impl<'a> Record<'a> {
    /// Starts before an attempt; `trace` is its process span.
    pub(crate) fn new(delivery: &'a Delivery, job: &'a Job, trace: &'a Context) -> Self {
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
            keep: None,
        }
    }

    /// Sets the `_traceparent` of the parent of later attempts.
    #[must_use]
    pub(crate) fn keeping(mut self, keep: Option<String>) -> Self {
        self.keep = keep;
        self
    }

    /// Adds an attempt that began `at`, Unix milliseconds. A success enters the history only if the job's
    /// result is kept. A request that the egress policy refused, or that failed at the proxy, does not count
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
        if result.error().is_some() || self.job.result_ttl.is_some() {
            let error = match result {
                SendResult::Answer(_) => None,
                SendResult::Failed { error, .. } => Some(error.as_str().into_owned()),
            };
            let traceparent = self.trace.traceparent();
            let (attempt, status) = (self.job.trail.attempts.saturating_add(1), result.status());
            let entry = history::Entry { attempt, at, took, status, error, phases, traceparent };
            self.history = Some(history::append(self.history.as_ref(), &entry));
        }
    }

    /// The settlement of a delivered job. `now` is Redis' time, Unix milliseconds.
    pub(crate) fn done(self, now: u64) -> Settlement {
        let enqueued = enqueued_at(self.delivery, self.job, now);
        match self.job.result_ttl {
            None => Settlement::Complete { enqueued },
            Some(ttl) => Settlement::CompleteWithResult {
                job_id: self.job.id.clone(),
                ttl,
                result: self.result("done").to_json(),
                enqueued,
            },
        }
    }

    /// The settlement of a job that waits for its next attempt.
    pub(crate) fn postponement(self, until: Until, why: WaitReason) -> Postponement {
        let mut fields = own_fields(&self.delivery.fields);
        self.push_trail(&mut fields);
        Postponement { job_id: self.job.id.clone(), until, why, at: self.job.trail.at, fields }
    }

    /// The settlement of a job without success.
    pub(crate) fn dead_letter(self, reason: Reason, error: &str) -> NewDeadLetter {
        let mut fields = own_fields(&self.delivery.fields);
        push(&mut fields, "_job_id", self.job.id.clone());
        let at = self.job.trail.at.unwrap_or(self.delivery.lease.entry.millis);
        push(&mut fields, "_enqueued_at", at.to_string());
        self.push_trail(&mut fields);
        push(&mut fields, "_reason", reason.as_str());
        push(&mut fields, "_error", error.to_owned());
        let result = self.job.result_ttl.map(|ttl| {
            let (reason, error) = (Some(reason.as_str().to_owned()), Some(error.to_owned()));
            let result = JobResult { reason, error, ..self.result("dead") };
            (self.job.id.clone(), ttl, result.to_json())
        });
        NewDeadLetter { job_id: self.job.id.clone(), reason, error: error.to_owned(), fields, result }
    }

    fn push_trail(&self, fields: &mut Fields) {
        push(fields, "_attempt", self.attempts.to_string());
        if let Some(job_id) = &self.job.trail.replay_of {
            push(fields, "_replay_of", job_id.clone());
        }
        if let Some(keep) = &self.keep {
            push(fields, "_traceparent", keep.clone());
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

/// The dead letter of a malformed entry.
pub(crate) fn malformed(
    delivery: &Delivery,
    malformed: &Malformed,
    trace_id: Option<String>,
) -> NewDeadLetter {
    let job_id = job_id(delivery);
    let Malformed { reason, error } = malformed.clone();
    let result = waited_for(&delivery.fields).map(|ttl| {
        let result = JobResult { trace_id, ..JobResult::dead(0, reason, &error) };
        (job_id.clone(), ttl, result.to_json())
    });
    NewDeadLetter { job_id, reason, error, fields: of_malformed(delivery, malformed), result }
}
