//! The field `_history`: a bounded JSON list of a job's attempts. Pure.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::phases::Phases;

/// The maximum number of attempts in a history. The first attempt and the last ones are kept; the oldest
/// between them are dropped.
const ATTEMPTS_MAX: usize = 32;

/// The maximum size of a history that is read, in bytes. The worker's own are shorter.
const FIELD_BYTES_MAX: usize = 64 * 1024;

/// The record of an attempt. In JSON: `attempt`, `at`, `ms`, `status` or `error`, `us` with the microseconds of
/// each phase, `trace_id` and `span_id`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When it began, Unix milliseconds by Redis' clock.
    pub at: u64,
    /// How long it took.
    pub took: Duration,
    /// The status code, if there was a response.
    pub status: Option<u16>,
    /// Why there was no response (`error.type`).
    pub error: Option<String>,
    /// How long each phase took.
    pub phases: Phases,
    /// The `traceparent` of the attempt's process span, if it was recorded.
    pub traceparent: Option<String>,
}

impl AttemptRecord {
    /// Its JSON.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("attempt".into(), self.attempt.into());
        object.insert("at".into(), self.at.into());
        object.insert("ms".into(), u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX).into());
        if let Some(status) = self.status {
            object.insert("status".into(), status.into());
        }
        if let Some(error) = &self.error {
            object.insert("error".into(), error.as_str().into());
        }
        let phases = self.phases.to_json();
        if !phases.is_empty() {
            object.insert("us".into(), phases.into());
        }
        if let Some((trace, span)) = self.ids() {
            object.insert("trace_id".into(), trace.into());
            object.insert("span_id".into(), span.into());
        }
        Value::Object(object)
    }

    /// Reads its JSON. Fields of a wrong type count as missing.
    pub fn from_json(json: &Value) -> Self {
        let number = |name: &str| json[name].as_u64();
        let text = |name: &str| json[name].as_str();
        let ids = text("trace_id").zip(text("span_id"));
        Self {
            attempt: number("attempt").and_then(|number| number.try_into().ok()).unwrap_or(0),
            at: number("at").unwrap_or(0),
            took: Duration::from_millis(number("ms").unwrap_or(0)),
            status: number("status").and_then(|status| status.try_into().ok()),
            error: text("error").map(str::to_owned),
            phases: Phases::from_json(&json["us"]),
            traceparent: ids.map(|(trace, span)| format!("00-{trace}-{span}-01")),
        }
    }

    /// The ids of its trace and of its span, if it was recorded.
    pub(super) fn ids(&self) -> Option<(&str, &str)> {
        let mut ids = self.traceparent.as_deref()?.split('-').skip(1);
        ids.next().zip(ids.next())
    }
}

/// Adds an attempt to a list, and replaces any other text by a list.
pub fn append(history: Option<&Bytes>, entry: &AttemptRecord) -> Bytes {
    let mut list = parse(history);
    // Only a producer's list is longer.
    if list.len() >= ATTEMPTS_MAX {
        list.drain(1..=list.len() + 1 - ATTEMPTS_MAX);
    }
    list.push(entry.to_json());
    Value::Array(list).to_string().into()
}

/// The `traceparent` of the last attempt.
pub fn last_traceparent(history: Option<&Bytes>) -> Option<String> {
    let list = parse(history);
    let last = list.last()?.as_object()?;
    let id = |name: &str| last.get(name).and_then(Value::as_str);
    Some(format!("00-{}-{}-01", id("trace_id")?, id("span_id")?))
}

/// When the last attempt ended, Unix milliseconds.
pub fn last_end(history: Option<&Bytes>) -> Option<u64> {
    let list = parse(history);
    let last = list.last()?.as_object()?;
    let number = |name: &str| last.get(name).and_then(Value::as_u64);
    Some(number("at")?.saturating_add(number("ms")?))
}

/// The attempts of a history; none if it is not a list.
pub fn parse(history: Option<&Bytes>) -> Vec<Value> {
    let history = history.filter(|text| text.len() <= FIELD_BYTES_MAX);
    history.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default()
}

/// The attempts of a history that the worker wrote.
pub fn attempts(history: Option<&Bytes>) -> Vec<AttemptRecord> {
    parse(history).iter().map(AttemptRecord::from_json).collect()
}

/// The last attempt of a history; also of one whose start is missing.
pub fn last(history: &[u8]) -> Option<Value> {
    const START: &str = "{\"at";
    let text = std::str::from_utf8(history).ok()?.strip_suffix(']')?;
    serde_json::from_str(&text[text.rfind(START)?..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64) -> AttemptRecord {
        AttemptRecord {
            attempt: 1,
            at,
            took: Duration::from_millis(7),
            status: Some(503),
            ..AttemptRecord::default()
        }
    }

    #[test]
    fn attempts_are_listed_in_order() {
        let one = append(None, &entry(1));
        assert_eq!(one, r#"[{"attempt":1,"at":1,"ms":7,"status":503}]"#);
        let two =
            append(Some(&one), &AttemptRecord { error: Some("timeout".into()), status: None, ..entry(2) });
        let second = r#"{"attempt":1,"at":2,"ms":7,"error":"timeout"}"#;
        assert_eq!(two, format!(r#"[{{"attempt":1,"at":1,"ms":7,"status":503}},{second}]"#));
    }

    #[test]
    fn the_last_attempt_is_read_also_where_the_start_is_missing() {
        let two = append(Some(&append(None, &entry(1))), &AttemptRecord { status: Some(404), ..entry(2) });
        for from in [0, 5, 20] {
            assert_eq!(last(&two[from..]).map(|last| last["status"].clone()), Some(404.into()), "{from}");
        }
        assert_eq!((last(&two[two.len() - 9..]), last(b"[]"), last(b"x")), (None, None, None));
    }

    #[test]
    fn the_last_traceparent_is_read_back() {
        let span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let history = append(None, &AttemptRecord { traceparent: Some(span.into()), ..entry(1) });
        assert_eq!(last_traceparent(Some(&history)).as_deref(), Some(span));
        assert_eq!(last_traceparent(Some(&append(None, &entry(1)))), None);
        assert_eq!(last_traceparent(None), None);
        assert_eq!((last_end(Some(&history)), last_end(None)), (Some(8), None));
    }

    #[test]
    fn a_list_that_is_too_long_is_truncated() {
        let forged = Bytes::from(format!("[{}9]", "1,".repeat(1000)));
        let list = parse(Some(&append(Some(&forged), &entry(5))));
        assert_eq!(
            (list.len(), &list[ATTEMPTS_MAX - 2], &list[ATTEMPTS_MAX - 1]["at"]),
            (ATTEMPTS_MAX, &9.into(), &5.into())
        );
    }

    #[test]
    fn the_list_is_bounded_and_keeps_its_ends() {
        let mut history = None;
        for at in 0..100 {
            history = Some(append(history.as_ref(), &entry(at)));
        }
        let list = parse(history.as_ref());
        assert_eq!(list.len(), ATTEMPTS_MAX);
        assert_eq!((list[0]["at"].as_u64(), list[ATTEMPTS_MAX - 1]["at"].as_u64()), (Some(0), Some(99)));
    }

    #[test]
    fn an_attempt_is_read_as_it_was_written() {
        let span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let phases = Phases { dns: Some(Duration::from_micros(80)), ..Phases::default() };
        let failed = AttemptRecord { error: Some("timeout".into()), status: None, ..entry(2) };
        let recorded = AttemptRecord { traceparent: Some(span.into()), phases, ..entry(3) };
        let history = append(Some(&append(None, &failed)), &recorded);
        assert_eq!(attempts(Some(&history)), [failed, recorded]);
        assert_eq!(attempts(Some(&Bytes::from_static(b"[7]"))), [AttemptRecord::default()]);
        assert_eq!(attempts(None), []);
    }

    #[test]
    fn an_invalid_list_is_replaced() {
        assert_eq!(parse(Some(&append(Some(&Bytes::from_static(b"{")), &entry(1)))).len(), 1);
    }
}
