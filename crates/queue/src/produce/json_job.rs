//! A job as a JSON object whose members are the fields of a job. Pure.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::enqueue::IdempotencyKey;
use crate::job::{FIELDS, Fields, Job, meant, quoted};

/// A job that was given as a JSON object. `headers` is an object, `body` is text that is sent unchanged, or any other
/// JSON. The member `key` is an idempotency key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct JsonJob {
    /// The fields of the job.
    pub fields: Fields,
    /// Its idempotency key.
    pub key: Option<String>,
}

/// The text is not a job: what is wrong, where, and what to write instead. It contains no value, which may be secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAJob(pub(super) String);

impl JsonJob {
    /// Reads an object and checks the job as a worker with this limit of a job's fields would.
    ///
    /// # Errors
    /// [`NotAJob`].
    pub fn parse(json: &[u8], max_job_bytes: usize) -> Result<Self, NotAJob> {
        let text = std::str::from_utf8(json).map_err(|_| NotAJob("it is not UTF-8".to_owned()))?;
        let mut job = Self::default();
        let mut unknown = Vec::new();
        for (name, value) in members(text)? {
            match FIELDS.iter().find(|known| **known == name) {
                Some(known) => job.fields.push((Bytes::from_static(known.as_bytes()), bytes(known, value)?)),
                None if name == "key" => job.take_key(value)?,
                None => unknown.push(name),
            }
        }
        if !unknown.is_empty() {
            return Err(not_known(&unknown));
        }
        Job::check(&job.fields, max_job_bytes).map_err(|malformed| NotAJob(malformed.error))?;
        Ok(job)
    }

    /// The longest text of a job of this size: JSON takes at most six bytes (`\u0000`) for one.
    pub fn text_bytes_max(max_job_bytes: usize) -> usize {
        6 * max_job_bytes + 4096
    }

    /// The bytes of all names and values.
    pub fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn take_key(&mut self, value: &str) -> Result<(), NotAJob> {
        let text = String::from_utf8_lossy(&bytes("key", value)?).into_owned();
        IdempotencyKey::check(&text).map_err(|error| NotAJob(format!("field `key`: {error}")))?;
        match self.key.replace(text) {
            Some(_) => Err(NotAJob("field `key` is given twice; give it once".to_owned())),
            None => Ok(()),
        }
    }
}

/// The members of an object in their order, including repeated ones. The values stay texts, so that no number in a body
/// loses a digit.
struct Members<'a>(Vec<(String, &'a str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = object.next_entry::<String, &RawValue>()? {
            members.push((name, value.get()));
        }
        Ok(Members(members))
    }
}

fn members(text: &str) -> Result<Vec<(String, &str)>, NotAJob> {
    match text.trim_start().chars().next() {
        Some('{') => {}
        Some('[') => {
            return Err(NotAJob(
                "it is a JSON list; write one object a line, as `jq -c '.[]'` does".to_owned(),
            ));
        }
        _ => return Err(NotAJob("it is not a JSON object".to_owned())),
    }
    match serde_json::from_str::<Members<'_>>(text) {
        Ok(members) => Ok(members.0),
        Err(error) if error.is_eof() => {
            Err(NotAJob("the object does not end on its line; write each on one, as `jq -c` does".to_owned()))
        }
        Err(error) => {
            // serde_json reports a line number, too, but the text has only one line.
            let (column, text) = (error.column(), error.to_string());
            let text = text.split(" at line ").next().unwrap_or(&text);
            Err(NotAJob(format!("it is not JSON: {text} (column {column})")))
        }
    }
}

/// The text of a JSON string.
fn unquoted(json: &str) -> Result<String, &'static str> {
    serde_json::from_str(json).map_err(|_| "has a `\\u` that is half a letter")
}

/// The value of a member in the entry of a job.
fn bytes(name: &str, json: &str) -> Result<Bytes, NotAJob> {
    let own = || Bytes::copy_from_slice(json.as_bytes());
    match (name, json.as_bytes().first()) {
        (_, Some(b'"')) => match unquoted(json) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(NotAJob(format!("field `{name}` {error}"))),
        },
        ("body", _) | ("headers", Some(b'{')) => Ok(own()),
        ("headers", _) => Err(NotAJob("field `headers` must be an object, or the text of one".to_owned())),
        (_, Some(b'-' | b'0'..=b'9')) => Ok(own()),
        (_, Some(b'n')) => Err(NotAJob(format!("field `{name}` is null; leave it out"))),
        _ => Err(NotAJob(format!("field `{name}` must be a text or a number"))),
    }
}

fn not_known(names: &[String]) -> NotAJob {
    let meant: Vec<_> =
        names.iter().map(|name| meant(name, ["key"].into_iter().chain(FIELDS.iter().copied()))).collect();
    let told = names.iter().zip(&meant).map(|(name, meant)| match meant {
        Some(meant) => format!("{} (did you mean {meant}?)", quoted(name)),
        None => quoted(name),
    });
    let (told, verb) = (told.collect::<Vec<_>>().join(", "), if names.len() == 1 { "is" } else { "are" });
    let hint = if names.iter().all(|name| name.starts_with('_')) {
        ": names that begin with `_` belong to the worker".to_owned()
    } else if meant.contains(&None) {
        format!("; known are key, {}", FIELDS.join(", "))
    } else {
        String::new()
    };
    NotAJob(format!("{told} {verb} not known here{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::ENTRY_BYTES_MAX;

    fn parsed(line: &str) -> Vec<(String, String)> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let job = JsonJob::parse(line.as_bytes(), ENTRY_BYTES_MAX).unwrap();
        let key = job.key.map(|key| ("key".to_owned(), key));
        job.fields.iter().map(|(name, value)| (text(name), text(value))).chain(key).collect()
    }

    /// The field that a line's member becomes; the line's other member is a URL.
    fn member(name: &str, json: &str) -> String {
        let fields = parsed(&format!(r#"{{"url":"http://h/x","{name}":{json}}}"#));
        fields[1].1.clone()
    }

    #[track_caller]
    fn refused(line: impl AsRef<[u8]>, told: &str) {
        let error = JsonJob::parse(line.as_ref(), ENTRY_BYTES_MAX).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_line_has_the_fields_of_a_job_in_their_order_and_a_key() {
        let line = r#" { "key":"order-7", "method":"PUT" , "url":"http://h/x"} "#;
        let expected = [("method", "PUT"), ("url", "http://h/x"), ("key", "order-7")];
        assert_eq!(parsed(line), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn each_field_of_the_wire_format_is_known() {
        for name in FIELDS.iter().filter(|name| **name != "url") {
            let value = match *name {
                "not_before" | "expires_at" => "1795396101000",
                "headers" => "{}",
                "method" => r#""PUT""#,
                _ => "1",
            };
            assert_eq!(member(name, value), value.trim_matches('"'), "{name}");
        }
    }

    #[test]
    fn a_body_that_is_not_a_text_is_sent_as_it_is_written() {
        for (json, sent) in [
            (r#""a \"b\"\n""#, "a \"b\"\n"),
            (
                r#"{ "id" : 12345678901234567890123, "price": 10.00 }"#,
                r#"{ "id" : 12345678901234567890123, "price": 10.00 }"#,
            ),
            ("[ \"\u{e9} \u{20ac}\" , {} ]", "[ \"\u{e9} \u{20ac}\" , {} ]"),
            ("null", "null"),
            ("1e400", "1e400"),
            ("true", "true"),
        ] {
            assert_eq!(member("body", json), sent);
        }
    }

    #[test]
    fn headers_are_an_object_or_its_text_and_numbers_are_either() {
        for (name, json, sent) in [
            ("headers", r#"{ "a": "b c", "d": ["e"] }"#, r#"{ "a": "b c", "d": ["e"] }"#),
            ("headers", r#""{\"a\": \"b\"}""#, r#"{"a": "b"}"#),
            ("timeout_ms", "1500", "1500"),
            ("timeout_ms", r#""1500""#, "1500"),
            ("label", "17", "17"),
            ("key", "17", "17"),
        ] {
            assert_eq!(member(name, json), sent, "{name} {json}");
        }
    }

    #[test]
    fn a_line_that_is_not_one_object_is_refused_with_advice() {
        refused("\"hunter2\"", "not a JSON object");
        refused("hunter2", "not a JSON object");
        refused(r#"[{"url":"http://h/x"}]"#, "jq -c '.[]'");
        refused("{", "does not end on its line");
        refused(r#"{"url":"http://hunter2"#, "does not end on its line");
        refused(r#"{"url":"http://h/x"},"#, "trailing characters (column 21)");
        refused(r#"{"url":"http://h/x" "body":"hunter2"}"#, "not JSON: expected `,` or `}` (column 21)");
        refused(r#"{"body":"hunter2\x"}"#, "not JSON: invalid escape");
        refused(b"{\"url\":\"http://h/\xff\"}", "not UTF-8");
        refused(r#"{"\udfff":"hunter2"}"#, "not JSON: ");
    }

    #[test]
    fn an_unknown_member_is_named() {
        refused(r#"{"ulr":"http://hunter2/"}"#, "\"ulr\" (did you mean url?) is not known here");
        for (name, meant) in
            [("URL", "url"), ("header", "headers"), ("delay", "delay_ms"), ("flwo", "flow"), ("keys", "key")]
        {
            refused(
                format!(r#"{{"{name}":1}}"#),
                &format!("{name:?} (did you mean {meant}?) is not known here"),
            );
        }
        refused(r#"{"payload":"hunter2"}"#, "\"payload\" is not known here; known are key, url, method");
        refused(r#"{"url":"http://h/x","a":1,"b":2}"#, "\"a\", \"b\" are not known here; known are key");
        refused(
            r#"{"url":"http://h/x","_job_id":"7-0"}"#,
            "\"_job_id\" is not known here: names that begin with `_`",
        );
    }

    #[test]
    fn a_member_of_a_wrong_kind_is_named() {
        let wrong = |name: &str, json: &str, told: &str| {
            refused(format!(r#"{{"url":"http://h/x","{name}":{json}}}"#), told)
        };
        wrong("label", "null", "field `label` is null; leave it out");
        wrong("label", "{}", "field `label` must be a text or a number");
        wrong("secret", "[\"hunter2\"]", "field `secret` must be a text or a number");
        wrong("flow", "true", "field `flow` must be a text or a number");
        wrong("headers", "[\"hunter2\"]", "field `headers` must be an object");
        wrong("headers", "null", "field `headers` must be an object");
        wrong("key", "null", "field `key` is null");
        wrong("key", "\"\"", "field `key`: write 1 to 256 bytes");
        wrong("key", "\"a\",\"key\":\"b\"", "field `key` is given twice");
        wrong("body", "\"a\",\"body\":\"b\"", "field `body` is given twice");
        wrong("body", r#""hunter2\ud800""#, "field `body` has a `\\u`");
    }

    #[test]
    fn the_workers_own_check_is_made() {
        let wrong = |name: &str, json: &str, told: &str| {
            refused(format!(r#"{{"url":"http://h/x","{name}":{json}}}"#), told)
        };
        refused("{}", "field `url` is missing");
        refused(r#"{"url":"/x"}"#, "must be absolute");
        wrong("delay_ms", "1.5", "`delay_ms` must be a whole number");
        wrong("timeout_ms", "-1", "`timeout_ms` must be a whole number");
        wrong("not_before", "1795396101", "looks like seconds");
        wrong("method", "\"a b\"", "is not an HTTP method");
        wrong("headers", r#"{"a":1}"#, "must be text or a list of texts");
        wrong("headers", "\"hunter2\"", "field `headers` is not JSON");
        wrong("label", "\"a b\"", "field `label` must be");
        wrong("v", "2", "format version 2");
    }
}
