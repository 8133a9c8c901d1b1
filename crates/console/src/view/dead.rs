//! A dead letter, and which of them are selected.

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use postrider_queue::admin::DeadLetter;
use postrider_queue::job::{Destination, EntryId, Fields, Statuses};
use postrider_queue::work::history;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::job::Summary;
use super::mask::{MASK, field, fields_json, line};
use super::text::{plain, time};
use super::trace::trace_id;

/// A job that ended without success.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeadView {
    /// What lists show.
    #[serde(flatten)]
    pub summary: Summary,
    /// The id of its entry among the dead letters.
    pub entry: String,
    /// When it died, Unix milliseconds.
    pub dead_at: u64,
    /// The same as RFC 3339.
    pub died: String,
    /// Why it is dead, in a word.
    pub reason: Option<String>,
    /// The status of the last attempt.
    pub status: Option<u16>,
    /// Why it is dead, in a sentence.
    pub error: Option<String>,
    /// Its trace: that of its last attempt, else its producer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Its attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub history: Option<Value>,
    /// All its fields; possible secrets are masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub fields: Option<Value>,
}

impl DeadView {
    /// As in a list.
    pub fn new(letter: &DeadLetter) -> Self {
        let text = |name: &str| field(&letter.fields, name).map(|value| plain(value, 1_000));
        Self {
            summary: Summary::new(&letter.queue, &letter.job_id, &letter.fields),
            entry: letter.entry.to_string(),
            dead_at: letter.entry.millis,
            died: time(letter.entry.millis),
            reason: text("_reason"),
            status: last_outcome(&letter.fields).and_then(|outcome| outcome.parse().ok()),
            error: text("_error"),
            trace_id: None,
            history: None,
            fields: None,
        }
    }

    /// With its attempts and all fields.
    pub fn whole(letter: &DeadLetter, reveal: bool) -> Self {
        let history = field(&letter.fields, "_history").and_then(|text| serde_json::from_slice(text).ok());
        let history = Some(history.unwrap_or(Value::Null));
        let trace_id = trace_id(&letter.fields);
        Self { trace_id, history, fields: Some(fields_json(&letter.fields, reveal)), ..Self::new(letter) }
    }
}

/// The status of the last attempt, or why it had none; `None` without an attempt.
pub fn last_outcome(fields: &Fields) -> Option<String> {
    let last = history::last(field(fields, "_history")?)?;
    let error = || last["error"].as_str().map(|error| plain(error.as_bytes(), 100));
    last["status"].as_u64().map(|status| status.to_string()).or_else(error)
}

/// The host of a job's URL in lower case, and its port if the URL has one.
pub fn host(fields: &Fields) -> Option<(String, Option<u16>)> {
    let Destination { uri, .. } = Destination::parse(&Bytes::copy_from_slice(field(fields, "url")?)).ok()?;
    Some((uri.host()?.to_ascii_lowercase(), uri.port_u16()))
}

/// The error in the words that the other columns of a list do not say.
pub fn dead_error(fields: &Fields) -> String {
    let error = line(fields, "_error", usize::MAX);
    let last = error.split_once(" was the last: ").filter(|(attempt, _)| attempt.starts_with("attempt "));
    let error = last.map_or(error.as_str(), |(_, error)| error);
    let host = host(fields).map(|(host, _)| format!("{host}:"));
    match error.split_once(": ") {
        Some((destination, rest)) if host.is_some_and(|host| destination.starts_with(&host)) => {
            rest.to_owned()
        }
        _ => error.to_owned(),
    }
}

/// The error by which dead letters are grouped.
pub(super) fn grouped_error(fields: &Fields) -> String {
    const CHARS_MAX: usize = 200;
    dead_error(fields).chars().take(CHARS_MAX).collect()
}

/// Selects dead letters. All conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct DeadFilter {
    /// Entry ids or job ids; all if empty.
    pub ids: HashSet<String>,
    /// The reason.
    pub reason: Option<String>,
    /// The label.
    pub label: Option<String>,
    /// The host in lower case, with a port or without.
    pub host: Option<String>,
    /// The status of the last attempt.
    pub status: Option<Statuses>,
    /// A part of the URL.
    pub url_contains: Option<String>,
    /// The error by which dead letters are grouped.
    pub error: Option<String>,
    /// Died at this time or later, Unix ms.
    pub not_before: Option<u64>,
    /// Died before this time, Unix ms.
    pub before: Option<u64>,
}

impl DeadFilter {
    /// Whether all conditions hold.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let has = |name: &str, ok: &dyn Fn(String) -> bool| letter.text(name).is_some_and(ok);
        (self.ids.is_empty() || self.names(letter))
            && self.reason.as_ref().is_none_or(|reason| has("_reason", &|own| own == *reason))
            && self.label.as_ref().is_none_or(|label| has("label", &|own| own == *label))
            && self.host.as_ref().is_none_or(|wanted| is_for(letter, wanted))
            && self.status.as_ref().is_none_or(|wanted| ended_in(letter, wanted))
            && self.url_contains.as_ref().is_none_or(|part| has("url", &|own| own.contains(part)))
            && self.error.as_ref().is_none_or(|error| grouped_error(&letter.fields) == *error)
            && self.not_before.is_none_or(|time| letter.entry.millis >= time)
            && self.before.is_none_or(|time| letter.entry.millis < time)
    }

    /// Whether the dead letter of this entry, and all before it, died too early.
    pub fn is_past(&self, entry: EntryId) -> bool {
        self.not_before.is_some_and(|time| entry.millis < time)
    }

    fn names(&self, letter: &DeadLetter) -> bool {
        self.ids.contains(&letter.job_id) || self.ids.contains(&letter.entry.to_string())
    }
}

/// For records of changes: without the part of a URL, which may be a secret.
impl fmt::Display for DeadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids: Vec<_> = self.ids.iter().map(String::as_str).collect();
        ids.sort_unstable();
        let conditions = [
            ("ids", Some(ids.join(" ")).filter(|ids| !ids.is_empty())),
            ("reason", self.reason.clone()),
            ("label", self.label.clone()),
            ("host", self.host.clone()),
            ("status", self.status.as_ref().map(ToString::to_string)),
            ("url_contains", self.url_contains.as_ref().map(|_| MASK.to_owned())),
            ("died_since", self.not_before.map(time)),
            ("died_before", self.before.map(time)),
        ];
        let mut set = conditions.into_iter().filter_map(|(name, value)| Some((name, value?))).peekable();
        if set.peek().is_none() {
            return f.write_str("all");
        }
        let texts: Vec<_> = set.map(|(name, value)| format!("{name}: {value}")).collect();
        f.write_str(&texts.join(", "))
    }
}

fn is_for(letter: &DeadLetter, wanted: &str) -> bool {
    host(&letter.fields).is_some_and(|(host, port)| {
        host == wanted || port.is_some_and(|port| format!("{host}:{port}") == wanted)
    })
}

fn ended_in(letter: &DeadLetter, wanted: &Statuses) -> bool {
    let status = last_outcome(&letter.fields).and_then(|outcome| outcome.parse().ok());
    status.is_some_and(|status| wanted.contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_queue::admin::ShardName;

    fn letter(fields: &[(&'static str, &'static str)]) -> DeadLetter {
        let standard = [
            ("url", "http://Example.org:81/x"),
            ("label", "a"),
            ("_reason", "attempts"),
            ("_error", "no answer"),
            ("_history", r#"…, {"attempt":3,"at":1,"ms":7,"status":503}]"#),
        ];
        let changed = |name: &str| fields.iter().any(|(own, _)| *own == name);
        let rest = standard.iter().filter(|(name, _)| !changed(name));
        DeadLetter {
            is_rejected: false,
            queue: ShardName { queue: "default".parse().unwrap(), number: 0 },
            entry: EntryId { millis: 100, sequence: 0 },
            job_id: "1-0".to_owned(),
            place: None,
            fields: fields
                .iter()
                .chain(rest)
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        }
    }

    fn at(millis: u64) -> DeadLetter {
        DeadLetter { entry: EntryId { millis, sequence: 0 }, ..letter(&[]) }
    }

    #[test]
    fn a_dead_letter_must_match_every_condition() {
        let filter = DeadFilter {
            ids: ["1-0".to_owned()].into(),
            reason: Some("attempts".into()),
            label: Some("a".into()),
            host: Some("example.org".into()),
            status: Some("5xx".parse().unwrap()),
            url_contains: Some("Example".into()),
            error: Some("no answer".into()),
            not_before: Some(100),
            before: Some(200),
        };
        assert!(filter.matches(&letter(&[])));
        for other in [
            at(99),
            at(200),
            letter(&[("_reason", "expired")]),
            letter(&[("url", "http://other.org/?Example")]),
            letter(&[("url", "http://example.org/x")]),
            letter(&[("label", "b")]),
            letter(&[("_error", "an answer")]),
            letter(&[("_history", r#"[{"attempt":1,"at":1,"ms":7,"error":"connect"}]"#)]),
            DeadLetter { job_id: "2-0".into(), ..letter(&[]) },
        ] {
            assert!(!filter.matches(&other), "{other:?}");
        }
        assert_eq!(
            filter.to_string(),
            "ids: 1-0, reason: attempts, label: a, host: example.org, status: 500-599, url_contains: REDACTED, \
             died_since: 1970-01-01T00:00:00.100Z, died_before: 1970-01-01T00:00:00.200Z"
        );
        assert_eq!(DeadFilter::default().to_string(), "all");
        assert!(DeadFilter::default().matches(&letter(&[])));
        assert!(filter.is_past(at(99).entry) && !filter.is_past(at(100).entry));
    }

    #[test]
    fn an_id_is_that_of_the_job_or_of_its_entry() {
        let by = |id: &str| {
            DeadFilter { ids: [id.to_owned()].into(), ..DeadFilter::default() }.matches(&letter(&[]))
        };
        assert!(by("1-0") && by("100-0") && !by("7-0"));
        let on = |host: &str| is_for(&letter(&[]), host);
        assert!(on("example.org") && on("example.org:81") && !on("example.org:80") && !on("ample.org"));
    }

    #[test]
    fn an_error_does_not_repeat_the_other_columns() {
        let of = |text: String| {
            dead_error(&vec![("url".into(), "http://H.test/x".into()), ("_error".into(), text.into())])
        };
        let last = |text: &str| of(format!("attempt 3 of 3 was the last: {text}"));
        assert_eq!(last("the destination answered 503"), "the destination answered 503");
        assert_eq!(last("h.test:80: the request failed"), "the request failed");
        assert_eq!(of("other.test:80: no".to_owned()), "other.test:80: no");
        let url = "field `url`: the port must be 1 to 65535";
        assert_eq!(of(url.to_owned()), url);
    }
}
