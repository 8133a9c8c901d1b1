//! The record of a job in the delivery log: a line of JSON, as short as it can be read without a schema. Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::value;
use super::history::{self, AttemptRecord};
use super::packed_attempt::PackedAttempt;
use crate::job::{Destination, Fields, Reason, is_job_id, is_label, number};

/// What the delivery log keeps of a job that has ended. It contains neither the URL nor a header nor a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRecord<'a> {
    /// The job id.
    pub job_id: Cow<'a, str>,
    /// When it was enqueued, Unix milliseconds; 0 if that is not known.
    pub enqueued_at: u64,
    /// Why it ended without success; `None` if it succeeded.
    pub reason: Option<Cow<'a, str>>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The status code of the last response.
    pub status: Option<u16>,
    /// The destination: its host, and its port if the URL has one.
    pub host: Option<Cow<'a, str>>,
    /// The producer's label.
    pub label: Option<Cow<'a, str>>,
    /// The trace of the last attempt.
    pub trace_id: Option<Cow<'a, str>>,
    /// The job id of the dead letter that was replayed as this job.
    pub replay_of: Option<Cow<'a, str>>,
    /// The job id of the callback that reports this end.
    pub callback: Option<Cow<'a, str>>,
    /// The job id of the job whose end this one reports.
    pub callback_of: Option<Cow<'a, str>>,
    /// The attempts that are known.
    pub history: Vec<AttemptRecord>,
}

/// The line: the fields of [`LogRecord`] in a list. Those at its end may be missing.
#[derive(Serialize, Deserialize)]
struct Line<'a>(
    Cow<'a, str>,
    u64,
    Option<Cow<'a, str>>,
    #[serde(default)] u32,
    #[serde(default)] Option<u16>,
    #[serde(default)] Option<Cow<'a, str>>,
    #[serde(default)] Option<Cow<'a, str>>,
    #[serde(default)] Option<Cow<'a, str>>,
    #[serde(default)] Option<Cow<'a, str>>,
    #[serde(default)] Vec<PackedAttempt<'a>>,
    #[serde(default, skip_serializing_if = "is_without")] Callbacks<'a>,
);

/// The callback of a job, and the job whose callback it is.
type Callbacks<'a> = (Option<Cow<'a, str>>, Option<Cow<'a, str>>);

fn is_without(callbacks: &Callbacks<'_>) -> bool {
    callbacks.0.is_none() && callbacks.1.is_none()
}

impl LogRecord<'_> {
    /// The record of a job that was not decoded. `entered` is the time in its entry's id, Unix milliseconds.
    pub fn of_fields(job_id: &str, fields: &Fields, entered: u64, reason: Reason) -> LogRecord<'static> {
        let text = |name: &str, is_valid: fn(&[u8]) -> bool| {
            let value = value(fields, name).filter(|value| is_valid(value))?;
            Some(Cow::Owned(String::from_utf8_lossy(&value).into_owned()))
        };
        let count = |name: &str| value(fields, name).and_then(|value| number(&value));
        let url = value(fields, "url").and_then(|url| Destination::parse(&url).ok());
        let history = history::attempts(value(fields, "_history").as_ref());
        let last = history.last();
        let trace_id = last.and_then(AttemptRecord::ids).map(|(trace, _)| trace.to_owned().into());
        LogRecord {
            job_id: job_id.to_owned().into(),
            enqueued_at: count("_enqueued_at").unwrap_or(entered),
            reason: Some(reason.as_str().into()),
            attempts: count("_attempt").and_then(|made| made.try_into().ok()).unwrap_or(0),
            status: last.and_then(|attempt| attempt.status),
            host: url.and_then(|url| Some(url.uri.authority()?.as_str().to_owned().into())),
            label: text("label", is_label),
            trace_id,
            replay_of: text("_replay_of", is_job_id),
            callback: text("_callback", is_job_id),
            callback_of: text("_callback_of", is_job_id),
            history,
        }
    }

    /// Its line in the log, with the newline at its end.
    pub fn pack(&self) -> String {
        let history = self.history.iter();
        let attempts =
            history.map(|attempt| PackedAttempt::of(attempt, self.enqueued_at, self.trace_id.as_deref()));
        let line = Line(
            Cow::Borrowed(&*self.job_id),
            self.enqueued_at,
            self.reason.as_deref().map(Cow::Borrowed),
            self.attempts,
            self.status,
            self.host.as_deref().map(Cow::Borrowed),
            self.label.as_deref().map(Cow::Borrowed),
            self.trace_id.as_deref().map(Cow::Borrowed),
            self.replay_of.as_deref().map(Cow::Borrowed),
            attempts.collect(),
            (self.callback.as_deref().map(Cow::Borrowed), self.callback_of.as_deref().map(Cow::Borrowed)),
        );
        let mut text = serde_json::to_string(&line).expect("texts and numbers always serialize");
        text.push('\n');
        text
    }

    /// Reads a line; `None` if it is no record.
    pub fn unpack(line: &str) -> Option<LogRecord<'static>> {
        let line: Line<'_> = serde_json::from_str(line).ok()?;
        let Line(
            job_id,
            enqueued_at,
            reason,
            attempts,
            status,
            host,
            label,
            trace_id,
            replay_of,
            packed,
            callbacks,
        ) = line;
        let owned = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        let history =
            packed.into_iter().map(|packed| packed.unpack(enqueued_at, trace_id.as_deref())).collect();
        Some(LogRecord {
            job_id: Cow::Owned(job_id.into_owned()),
            enqueued_at,
            reason: owned(reason),
            attempts,
            status,
            host: owned(host),
            label: owned(label),
            trace_id: owned(trace_id),
            replay_of: owned(replay_of),
            callback: owned(callbacks.0),
            callback_of: owned(callbacks.1),
            history,
        })
    }

    /// `succeeded`, `dead` or `cancelled`.
    pub fn outcome(&self) -> &'static str {
        match self.reason.as_deref() {
            None => "succeeded",
            Some("cancelled") => "cancelled",
            Some(_) => "dead",
        }
    }

    /// Whether it is about an id: its label, its job id or that of the job that it replays or reports, or one of its
    /// traces.
    pub fn is_about(&self, id: &str) -> bool {
        let is_trace = |attempt: &AttemptRecord| {
            let trace = attempt.traceparent.as_deref().and_then(|text| text.split('-').nth(1));
            trace.is_some_and(|trace| trace.eq_ignore_ascii_case(id))
        };
        let is_it = |text: &Option<Cow<'_, str>>| text.as_deref() == Some(id);
        self.job_id == id
            || is_it(&self.label)
            || is_it(&self.replay_of)
            || is_it(&self.callback_of)
            || self.trace_id.as_deref().is_some_and(|trace| trace.eq_ignore_ascii_case(id))
            || self.history.iter().any(is_trace)
    }

    /// The attempts in the form of the field `_history`.
    pub fn history_json(&self) -> Value {
        self.history.iter().map(AttemptRecord::to_json).collect()
    }
}

#[cfg(test)]
mod tests;
