//! The result of a job: a JSON object under `postrider:{QUEUE}:result:JOB_ID`. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::job::Reason;

/// The result of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// `succeeded` or `dead`.
    pub outcome: String,
    /// The status code of the last response.
    pub status: Option<u16>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why it is dead.
    pub reason: Option<String>,
    /// The reason in one sentence.
    pub error: Option<String>,
    /// The trace of the delivery.
    pub trace_id: Option<String>,
    /// The duration of the last attempt, milliseconds.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The attempts, as in the field `_history`, and the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<serde_json::Value>,
    /// The headers of the last response that are on the worker's list. Several values of one header are
    /// separated by commas.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body of the last response, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Any other body, in Base64 (RFC 4648 §4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Whether the body was longer than the kept part, or broke off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// The part of a response that is kept with the result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The headers that the worker is configured to keep.
    pub headers: HeaderMap,
    /// The start of the body, up to the configured size.
    pub body: Bytes,
    /// Whether the body was longer, or broke off.
    pub truncated: bool,
}

impl JobResult {
    /// The result of a job that is dead without a response.
    pub fn dead(attempts: u32, reason: Reason, error: &str) -> Self {
        let (reason, error) = (Some(reason.as_str().to_owned()), Some(error.to_owned()));
        Self { outcome: "dead".to_owned(), attempts, reason, error, ..Self::default() }
    }

    /// Adds the kept part of the last response.
    #[must_use]
    pub fn with(mut self, kept: &Kept) -> Self {
        for (name, value) in &kept.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let values = self.headers.entry(name.as_str().to_owned()).or_default();
            let comma = if values.is_empty() { "" } else { ", " };
            *values = format!("{values}{comma}{value}");
        }
        self.truncated = kept.truncated;
        match text(kept) {
            Some("") => {}
            Some(text) => self.body = Some(text.to_owned()),
            None => self.body_base64 = Some(STANDARD.encode(&kept.body)),
        }
        self
    }

    /// Its text in Redis: at most 96 KiB, whatever the response contains. A longer one loses a part of its body, then
    /// headers and the oldest attempts, and is marked as truncated.
    pub fn to_json(&self) -> String {
        let text = json(self);
        if text.len() <= JSON_BYTES_MAX { text } else { json(&self.shortened(JSON_BYTES_MAX)) }
    }

    /// The result with at most this number of bytes of JSON, at least 24 KiB.
    pub(super) fn shortened(&self, bytes_max: usize) -> Self {
        let mut short = Self { truncated: true, body: None, body_base64: None, ..self.clone() };
        let part = (bytes_max / 6).min(PART_BYTES_MAX);
        short.error = short.error.map(|error| beginning(&error, ERROR_BYTES_MAX).to_owned());
        let mut left = part;
        short.headers.retain(|name, value| {
            let size = json(name).len() + json(value).len() + 2;
            left.checked_sub(size).map(|rest| left = rest).is_some()
        });
        while json(&short.history).len() > part {
            short.history.remove(0);
        }
        let left = bytes_max.saturating_sub(json(&short).len() + BODY_SYNTAX_BYTES);
        short.body = self.body.as_deref().map(|body| beginning(body, left).to_owned());
        // Four characters are three bytes.
        let base64 = self.body_base64.as_deref();
        short.body_base64 = base64.map(|body| body[..body.len().min(left / 4 * 4)].to_owned());
        short
    }
}

/// Bytes of JSON for each result.
const JSON_BYTES_MAX: usize = 96 * 1024;
/// Bytes of JSON for the headers and for the attempts of a result that is too long.
const PART_BYTES_MAX: usize = 16 * 1024;
/// Bytes of JSON for its error.
const ERROR_BYTES_MAX: usize = 4 * 1024;
/// Bytes of `,"body_base64":""`.
const BODY_SYNTAX_BYTES: usize = 17;

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers always serialize")
}

/// The beginning of a text, up to this number of bytes of JSON.
fn beginning(text: &str, mut bytes: usize) -> &str {
    let end = text.char_indices().find(|(_, character)| {
        let size = match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            character if (*character as u32) < 0x20 => 6,
            character => character.len_utf8(),
        };
        bytes.checked_sub(size).map(|rest| bytes = rest).is_none()
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// The body, if it is text. A truncated body may end in the middle of a character.
fn text(kept: &Kept) -> Option<&str> {
    match std::str::from_utf8(&kept.body) {
        Ok(text) => Some(text),
        Err(error) if kept.truncated && error.error_len().is_none() => {
            std::str::from_utf8(&kept.body[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn result(body: &'static [u8], truncated: bool) -> JobResult {
        let mut headers = HeaderMap::new();
        headers.append("via", HeaderValue::from_static("a"));
        headers.append("via", HeaderValue::from_static("b"));
        JobResult::default().with(&Kept { headers, body: body.into(), truncated })
    }

    #[test]
    fn text_is_kept_as_text_and_bytes_as_base64() {
        assert_eq!(result("grüß".as_bytes(), false).body.as_deref(), Some("grüß"));
        assert_eq!(result(b"\xff\x00", false).body_base64.as_deref(), Some("/wA="));
        assert_eq!(
            result(b"abc\xc3", true).body.as_deref(),
            Some("abc"),
            "truncated in the middle of a character"
        );
        assert_eq!(result(b"abc\xc3", false).body, None);
        assert_eq!(result(b"", false).body, None);
        assert_eq!(result(b"", false).headers["via"], "a, b");
    }

    #[test]
    fn the_json_is_limited_whatever_the_response_contains() {
        let value = HeaderValue::from_bytes(&[0xff; 60_000]).unwrap();
        let bodies = [vec![1; 1 << 16], vec![0xff; 1 << 16], "\u{20ac}\"\n".repeat(13_000).into_bytes()];
        for (body, is_large) in bodies.into_iter().flat_map(|body| [(body.clone(), false), (body, true)]) {
            let mut headers = HeaderMap::new();
            headers.insert("via", HeaderValue::from_static("a"));
            if is_large {
                headers.insert("x", value.clone());
            }
            let kept = Kept { headers, body: body.into(), truncated: false };
            let history = vec![serde_json::json!({"error": "\u{1}".repeat(3000)}); 30];
            let error = is_large.then(|| "\u{1}".repeat(1 << 16));
            let result = JobResult { history, error, ..JobResult::default() }.with(&kept);
            let json = result.to_json();
            assert!((80 << 10..=JSON_BYTES_MAX).contains(&json.len()), "{}", json.len());
            let read: JobResult = serde_json::from_str(&json).unwrap();
            assert!(read.truncated);
            assert_eq!(read.headers["via"], "a");
            let whole = (result.body.unwrap_or_default(), result.body_base64.unwrap_or_default());
            let cut = (read.body.unwrap_or_default(), read.body_base64.unwrap_or_default());
            assert!(whole.0.starts_with(&cut.0) && whole.1.starts_with(&cut.1));
            STANDARD.decode(cut.1).unwrap();
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let written = result(b"x", true);
        assert_eq!(serde_json::from_str::<JobResult>(&written.to_json()).unwrap(), written);
        let old =
            r#"{"outcome":"succeeded","status":200,"attempts":1,"reason":null,"error":null,"trace_id":null}"#;
        assert_eq!(serde_json::from_str::<JobResult>(old).unwrap().status, Some(200));
    }
}
