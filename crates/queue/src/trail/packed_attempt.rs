//! An attempt in a line of the delivery log. Pure.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::history::AttemptRecord;
use super::phases::Phases;

/// An attempt: its number, its time since the enqueue in ms, how long it took in ms, what came of it, the phases,
/// and its ids if it was recorded: the span's, and before it the trace's if that is not the record's.
#[derive(Serialize, Deserialize)]
pub(super) struct PackedAttempt<'a>(
    u32,
    i64,
    u64,
    #[serde(default)] Answer<'a>,
    #[serde(default)] PackedPhases,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<Cow<'a, str>>,
);

/// A status code, or why there was none.
#[derive(Default, Serialize, Deserialize)]
#[serde(untagged)]
enum Answer<'a> {
    Status(u16),
    Error(Cow<'a, str>),
    #[default]
    None,
}

/// Microseconds of each phase.
#[derive(Default, Serialize, Deserialize)]
struct PackedPhases {
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    dns: Option<u64>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    connect: Option<u64>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    tls: Option<u64>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    first_byte: Option<u64>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    body: Option<u64>,
}

impl<'a> PackedAttempt<'a> {
    /// `enqueued_at` and `trace_id` are the record's.
    pub(super) fn of(attempt: &'a AttemptRecord, enqueued_at: u64, trace_id: Option<&str>) -> Self {
        let after = attempt.at.cast_signed().wrapping_sub(enqueued_at.cast_signed());
        let answer = match (attempt.status, &attempt.error) {
            (Some(status), _) => Answer::Status(status),
            (None, Some(error)) => Answer::Error(error.as_str().into()),
            (None, None) => Answer::None,
        };
        let took = u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX);
        let ids = attempt.ids().map(|(trace, span)| {
            if Some(trace) == trace_id { span.into() } else { format!("{trace}-{span}").into() }
        });
        Self(attempt.attempt, after, took, answer, PackedPhases::of(&attempt.phases), ids)
    }

    pub(super) fn unpack(self, enqueued_at: u64, trace_id: Option<&str>) -> AttemptRecord {
        let Self(attempt, after, took, answer, phases, ids) = self;
        let (status, error) = match answer {
            Answer::Status(status) => (Some(status), None),
            Answer::Error(error) => (None, Some(error.into_owned())),
            Answer::None => (None, None),
        };
        let traceparent = ids.and_then(|ids| match ids.split_once('-') {
            Some((trace, span)) => Some(format!("00-{trace}-{span}-01")),
            None => Some(format!("00-{}-{ids}-01", trace_id?)),
        });
        AttemptRecord {
            attempt,
            at: enqueued_at.wrapping_add_signed(after),
            took: Duration::from_millis(took),
            status,
            error,
            phases: phases.unpack(),
            traceparent,
        }
    }
}

impl PackedPhases {
    fn of(phases: &Phases) -> Self {
        let micros = |took: Option<Duration>| Some(u64::try_from(took?.as_micros()).unwrap_or(u64::MAX));
        Self {
            dns: micros(phases.dns),
            connect: micros(phases.connect),
            tls: micros(phases.tls),
            request: micros(phases.request),
            first_byte: micros(phases.first_byte),
            body: micros(phases.body),
        }
    }

    fn unpack(self) -> Phases {
        let time = |micros: Option<u64>| micros.map(Duration::from_micros);
        Phases {
            dns: time(self.dns),
            connect: time(self.connect),
            tls: time(self.tls),
            request: time(self.request),
            first_byte: time(self.first_byte),
            body: time(self.body),
        }
    }
}
