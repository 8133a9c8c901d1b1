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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::trail::Phases;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const OTHER: &str = "1af7651916cd43dd8448eb211c80319c";

    fn attempt(at: u64, trace: Option<&str>) -> AttemptRecord {
        let micros = |micros| Some(Duration::from_micros(micros));
        AttemptRecord {
            attempt: 1,
            at,
            took: Duration::from_millis(12),
            status: Some(200),
            phases: Phases {
                request: micros(12),
                first_byte: micros(9000),
                body: micros(0),
                ..Phases::default()
            },
            traceparent: trace.map(|trace| format!("00-{trace}-b7ad6b7169203331-01")),
            ..AttemptRecord::default()
        }
    }

    fn record() -> LogRecord<'static> {
        LogRecord {
            job_id: "1795396101000-0".into(),
            enqueued_at: 1_795_396_101_000,
            attempts: 1,
            status: Some(200),
            host: Some("acme.example:8443".into()),
            label: Some("order-4711".into()),
            trace_id: Some(TRACE.into()),
            history: vec![attempt(1_795_396_101_005, Some(TRACE))],
            ..LogRecord::default()
        }
    }

    #[test]
    fn a_record_is_a_short_line_and_is_read_back() {
        let line = record().pack();
        assert_eq!(
            line,
            "[\"1795396101000-0\",1795396101000,null,1,200,\"acme.example:8443\",\"order-4711\",\
             \"0af7651916cd43dd8448eb211c80319c\",null,[[1,5,12,200,{\"r\":12,\"f\":9000,\"b\":0},\"b7ad6b7169203331\"]]]\n"
        );
        assert_eq!(LogRecord::unpack(&line), Some(record()));
        let history = vec![attempt(1_795_396_101_005, None)];
        let untraced = LogRecord { trace_id: None, history, ..record() }.pack();
        assert!(untraced.len() <= 130, "{}", untraced.len());
    }

    /// `docs/configuration.md` has these numbers.
    #[test]
    fn each_further_attempt_makes_a_record_a_little_longer() {
        let lasts = |trace: Option<&str>| {
            let failed =
                |at: u64| AttemptRecord { status: Some(503), ..attempt(1_795_396_101_005 + at, trace) };
            let with = |history: Vec<AttemptRecord>| {
                LogRecord { trace_id: trace.map(Into::into), history, ..record() }.pack().len()
            };
            with(vec![failed(0), failed(1500), failed(60_000)]) - with(vec![failed(0), failed(1500)])
        };
        assert_eq!([lasts(None), lasts(Some(TRACE))], [41, 60]);
    }

    #[test]
    fn every_form_of_a_record_is_read_back() {
        let failed = |error: &str| AttemptRecord {
            status: None,
            error: Some(error.to_owned()),
            ..attempt(1_795_396_100_000, None)
        };
        let silent = AttemptRecord { status: None, phases: Phases::default(), ..attempt(7, Some(OTHER)) };
        let history = vec![failed("timeout"), failed("a\nb \"c\" \u{1}"), silent, attempt(9, Some(TRACE))];
        for reason in [None, Some("cancelled"), Some("attempts")] {
            let record = LogRecord {
                reason: reason.map(Into::into),
                replay_of: Some("5-0".into()),
                callback: reason.map(|_| "7-0-callback".into()),
                callback_of: Some("4-0".into()).filter(|_| reason != Some("attempts")),
                label: Some("\"".repeat(128).into()),
                history: history.clone(),
                ..record()
            };
            let line = record.pack();
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert_eq!(LogRecord::unpack(&line), Some(record));
        }
        let bare = LogRecord { job_id: "7-0".into(), ..LogRecord::default() };
        assert_eq!(LogRecord::unpack(&bare.pack()), Some(bare));
    }

    /// As the scripts write it for a waiting job that cannot be read.
    #[test]
    fn the_end_of_a_line_may_be_missing_and_anything_else_is_no_record() {
        let short = LogRecord::unpack("[\"7-0\",0,\"malformed\"]").unwrap();
        assert_eq!((&*short.job_id, short.outcome(), short.history.len()), ("7-0", "dead", 0));
        for other in ["", "x", "{}", "[]", "[1,2,3]", "[\"7-0\",-1,null]", "[\"7-0\",0,null,1,70000]"] {
            assert_eq!(LogRecord::unpack(other), None, "{other}");
        }
    }

    #[test]
    fn a_record_is_about_its_label_its_ids_and_its_traces() {
        let record =
            LogRecord { replay_of: Some("5-0".into()), history: vec![attempt(1, Some(OTHER))], ..record() };
        for id in ["1795396101000-0", "order-4711", "5-0", TRACE, &TRACE.to_uppercase(), OTHER] {
            assert!(record.is_about(id), "{id}");
        }
        for id in ["order", "8-0", "acme.example:8443", "", &TRACE[1..], "b7ad6b7169203331"] {
            assert!(!record.is_about(id), "{id}");
        }
    }

    #[test]
    fn fields_that_were_not_decoded_leave_no_secret() {
        let history = serde_json::Value::from(vec![attempt(3, Some(TRACE)).to_json()]).to_string();
        let fields: Fields = [
            ("url", "https://u:hunter2@acme.example:8443/hunter2?key=hunter2"),
            ("headers", r#"{"authorization":"hunter2"}"#),
            ("body", "hunter2"),
            ("label", "order-4711"),
            ("_attempt", "1"),
            ("_enqueued_at", "1795396101000"),
            ("_history", &history),
        ]
        .map(|(name, value)| (name.to_owned().into(), value.to_owned().into()))
        .to_vec();
        let record = LogRecord::of_fields("7-0", &fields, 3, Reason::Cancelled);
        assert_eq!((record.outcome(), record.attempts, record.status), ("cancelled", 1, Some(200)));
        assert_eq!(
            (record.host.as_deref(), record.enqueued_at),
            (Some("acme.example:8443"), 1_795_396_101_000)
        );
        assert!(record.is_about(TRACE) && record.is_about("order-4711"));
        assert!(!record.pack().contains("hunter2"), "{}", record.pack());
        let label = vec![("label".into(), "a b".into()), ("url".into(), "hunter2".into())];
        let record = LogRecord::of_fields("7-0", &label, 3, Reason::Malformed);
        assert_eq!(
            (record.outcome(), record.label, record.host, record.enqueued_at),
            ("dead", None, None, 3)
        );
    }
}
