//! The callback of a job that has ended: a job whose body reports it. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::fields::{push, value};
use super::history;
use super::log_record::LogRecord;
use super::result::JobResult;
use crate::job::{Callbacks, Fields, Reason};

/// The maximum size of a callback's body, in bytes: less than a worker may be configured to accept of a job.
const BODY_BYTES_MAX: usize = 32 * 1024;
/// What the job id of a callback adds to that of its job.
const ID_SUFFIX: &str = "-callback";
/// The maximum length of a job id.
const JOB_ID_BYTES_MAX: usize = 128;

/// The body of a callback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackBody {
    /// The id of the job that has ended.
    pub job_id: String,
    /// Its label; the job id if its producer gave none.
    pub label: String,
    /// Its queue.
    pub queue: String,
    /// When it was enqueued, Unix milliseconds by Redis' clock.
    pub enqueued_at: u64,
    /// When it ended, Unix milliseconds by Redis' clock.
    pub ended_at: u64,
    /// The job id of the dead letter that was replayed as this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<String>,
    /// How it ended.
    #[serde(flatten)]
    pub result: JobResult,
}

/// The job that reports the end of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackJob {
    /// Its job id: the same however often the end of that job is settled.
    pub job_id: String,
    /// Its fields, beginning with `_job_id`, without `_mark`.
    pub fields: Fields,
}

impl CallbackJob {
    /// The callback with these fields of its producer. `traceparent` is the parent of its attempts.
    pub fn new(target: &Fields, ended: &CallbackBody, traceparent: Option<String>) -> Self {
        let job_id = callback_id(&ended.job_id);
        let mut fields = Fields::with_capacity(target.len() + 5);
        push(&mut fields, "_job_id", job_id.clone());
        fields.extend(target.iter().cloned());
        push(&mut fields, "body", ended.to_json());
        // Its job id begins with another time.
        push(&mut fields, "_enqueued_at", ended.ended_at.to_string());
        push(&mut fields, "_callback_of", ended.job_id.clone());
        if let Some(traceparent) = traceparent {
            push(&mut fields, "_traceparent", traceparent);
        }
        Self { job_id, fields }
    }

    /// The callback of a job that was cancelled by hand; `None` if it has none. `entered` is the time in the id of its entry,
    /// `now` Redis' time, both Unix milliseconds.
    pub(crate) fn of_cancelled(
        (job_id, queue): (&str, &str),
        fields: &Fields,
        error: &str,
        (entered, now): (u64, u64),
        traceparent: Option<String>,
    ) -> Option<Self> {
        let target = Callbacks::on_failure_of(fields)?;
        let record = LogRecord::of_fields(job_id, fields, entered, Reason::Cancelled);
        let text = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let result = JobResult {
            status: record.status,
            trace_id: text(record.trace_id),
            history: history::parse(value(fields, "_history").as_ref()),
            ..JobResult::dead(record.attempts, Reason::Cancelled, error)
        };
        let body = CallbackBody {
            job_id: job_id.to_owned(),
            label: text(record.label).unwrap_or_else(|| job_id.to_owned()),
            queue: queue.to_owned(),
            enqueued_at: record.enqueued_at,
            ended_at: now,
            replay_of: text(record.replay_of),
            result,
        };
        Some(Self::new(&target, &body, traceparent))
    }

    /// The size of its fields, names and values together.
    pub fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// A JSON list of the names and values of its fields, and of another one.
    pub(crate) fn list(&self, more: Option<(&'static str, String)>) -> String {
        let more = more.map(|(name, value)| (Bytes::from_static(name.as_bytes()), value.into()));
        let parts = self.fields.iter().chain(&more).flat_map(|(name, value)| [name, value]);
        // They come from JSON, or have been decoded as a URL.
        let texts: Vec<_> = parts.map(|part| String::from_utf8_lossy(part)).collect();
        serde_json::to_string(&texts).expect("texts always serialize")
    }
}

/// The job id of a job's callback.
fn callback_id(job_id: &str) -> String {
    // The end of a long id is what makes it unique.
    let most = JOB_ID_BYTES_MAX - ID_SUFFIX.len();
    let from = job_id.len().saturating_sub(most);
    format!("{}{ID_SUFFIX}", job_id.get(from..).unwrap_or_default())
}

impl CallbackBody {
    /// Its text, at most 32 KiB: a longer one loses a part of the response's body, then headers and the oldest attempts.
    fn to_json(&self) -> String {
        let json = |ended: &Self| serde_json::to_string(ended).expect("texts and numbers always serialize");
        let text = json(self);
        if text.len() <= BODY_BYTES_MAX {
            return text;
        }
        let own = json(&Self { result: JobResult::default(), ..self.clone() }).len();
        json(&Self { result: self.result.shortened(BODY_BYTES_MAX.saturating_sub(own)), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::is_job_id;

    fn ended(result: JobResult) -> CallbackBody {
        CallbackBody {
            job_id: "7-0".to_owned(),
            label: "order-1".to_owned(),
            queue: "mail".to_owned(),
            enqueued_at: 7,
            ended_at: 9,
            replay_of: None,
            result,
        }
    }

    /// `docs/callbacks.md` has this body.
    #[test]
    fn a_callback_is_a_job_that_reports_the_end_of_another() {
        let target = vec![("url".into(), "http://h/".into())];
        let result = JobResult::dead(2, Reason::Expired, "it expired");
        let job = CallbackJob::new(&target, &ended(result), Some("00-1-2-01".to_owned()));
        let text = |name: &str| {
            let value = crate::trail::fields::value(&job.fields, name).unwrap();
            String::from_utf8(value.to_vec()).unwrap()
        };
        assert_eq!((job.job_id.as_str(), text("_job_id").as_str()), ("7-0-callback", "7-0-callback"));
        assert_eq!((text("url").as_str(), text("_callback_of").as_str()), ("http://h/", "7-0"));
        assert_eq!(text("_traceparent"), "00-1-2-01");
        assert_eq!(
            text("body"),
            r#"{"job_id":"7-0","label":"order-1","queue":"mail","enqueued_at":7,"ended_at":9,"outcome":"dead","status":null,"attempts":2,"reason":"expired","error":"it expired","trace_id":null,"duration_ms":null}"#
        );
        let list: Vec<String> =
            serde_json::from_str(&job.list(Some(("_mark", "x\u{e9}".to_owned())))).unwrap();
        assert_eq!((list[0].as_str(), list.len()), ("_job_id", 2 * job.fields.len() + 2));
        assert_eq!(list.last().unwrap(), "x\u{e9}");
    }

    #[test]
    fn the_id_of_a_callback_is_one_and_keeps_the_end_of_a_long_id() {
        assert_eq!(callback_id("7-0"), "7-0-callback");
        let long = format!("{}-18446744073709551615-18446744073709551615", "x".repeat(87));
        let id = callback_id(&long);
        assert!(is_job_id(id.as_bytes()) && id.len() == 128);
        assert!(id.ends_with("-18446744073709551615-18446744073709551615-callback"), "{id}");
    }

    #[test]
    fn the_body_is_limited_whatever_the_response_contains() {
        for character in ["x", "\u{1}", "\u{20ac}"] {
            let long = character.repeat(40_000);
            let headers =
                [("via", "a"), ("x-long", &*long)].map(|(name, value)| (name.to_owned(), value.to_owned()));
            let result = JobResult {
                body: Some(long.clone()),
                error: Some(long.clone()),
                headers: headers.into(),
                history: vec![serde_json::json!({"error": character.repeat(300)}); 32],
                ..JobResult::dead(3, Reason::Attempts, "")
            };
            let text = ended(result).to_json();
            assert!((BODY_BYTES_MAX / 2..=BODY_BYTES_MAX).contains(&text.len()), "{}", text.len());
            let read: CallbackBody = serde_json::from_str(&text).unwrap();
            assert!(read.result.truncated && read.result.headers["via"] == "a");
            assert!(long.starts_with(&read.result.body.unwrap()));
        }
    }
}
