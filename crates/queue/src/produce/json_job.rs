//! A job as a JSON object whose members are the fields of a job. Pure.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::enqueue::IdempotencyKey;
use crate::job::{FIELDS, Fields, Job, meant, quoted};

/// Members of an object, and unknown ones that are named.
const MEMBERS_MAX: usize = 64;
const NAMED_MAX: usize = 8;

/// The members that are no fields of a job.
const OWN: [&str; 2] = ["key", "body_base64"];

/// A job that was given as a JSON object. `headers` is an object, `body` is text that is sent unchanged, or any other
/// JSON. `body_base64` is a body in Base64 (RFC 4648 §4). The member `key` is an idempotency key.
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

impl NotAJob {
    /// The name of the wrong field, if one field is wrong.
    pub fn field(&self) -> Option<&str> {
        self.0.strip_prefix("field `")?.split('`').next()
    }
}

impl JsonJob {
    /// Reads an object and checks the job as a worker with this limit of a job's fields would.
    ///
    /// # Errors
    /// [`NotAJob`].
    pub fn parse(json: &[u8], max_job_bytes: usize) -> Result<Self, NotAJob> {
        let text = std::str::from_utf8(json).map_err(|_| NotAJob("it is not UTF-8".to_owned()))?;
        // Some editors and shells begin every text with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut job = Self::default();
        let mut unknown = Vec::new();
        for (name, value) in members(text)? {
            match FIELDS.iter().find(|known| **known == name) {
                Some(known) => job.fields.push((Bytes::from_static(known.as_bytes()), bytes(known, value)?)),
                None if name == "key" => job.take_key(value)?,
                None if name == "body_base64" => job.fields.push(("body".into(), decoded(value)?)),
                None if unknown.len() == NAMED_MAX => {}
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

/// The members of an object in their order, including repeated ones, up to one more than there may be. The values stay texts, so that no number in a body
/// loses a digit.
struct Members<'a>(Vec<Member<'a>>);

/// The name of a member, and the text of its value.
type Member<'a> = (Cow<'a, str>, &'a str);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

/// serde copies a `Cow` unless it is the field of a struct.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while members.len() <= MEMBERS_MAX {
            let Some((name, value)) = object.next_entry::<Name, &RawValue>()? else {
                return Ok(Members(members));
            };
            members.push((name.0, value.get()));
        }
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Members(members))
    }
}

fn members(text: &str) -> Result<Vec<Member<'_>>, NotAJob> {
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
        Ok(Members(members)) if members.len() > MEMBERS_MAX => {
            Err(NotAJob(format!("it has more than {MEMBERS_MAX} members, and a job has about twenty fields")))
        }
        Ok(Members(members)) => Ok(members),
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
        ("body", _) | ("headers" | "on_success" | "on_failure", Some(b'{')) => Ok(own()),
        ("headers", _) => Err(NotAJob("field `headers` must be an object, or the text of one".to_owned())),
        (_, Some(b'-' | b'0'..=b'9')) => Ok(own()),
        (_, Some(b'n')) => Err(NotAJob(format!("field `{name}` is null; leave it out"))),
        _ => Err(NotAJob(format!("field `{name}` must be a text or a number"))),
    }
}

/// The bytes of a body that is in Base64.
fn decoded(json: &str) -> Result<Bytes, NotAJob> {
    let text = bytes("body_base64", json)?;
    let wrong = |_| NotAJob("field `body_base64` is not Base64".to_owned());
    STANDARD.decode(text).map(Bytes::from).map_err(wrong)
}

fn not_known(names: &[Cow<'_, str>]) -> NotAJob {
    let meant: Vec<_> =
        names.iter().map(|name| meant(name, OWN.into_iter().chain(FIELDS.iter().copied()))).collect();
    let listed = names.iter().zip(&meant).map(|(name, meant)| match meant {
        Some(meant) => format!("{} (did you mean {meant}?)", quoted(name)),
        None => quoted(name),
    });
    let (listed, verb) = (listed.collect::<Vec<_>>().join(", "), if names.len() == 1 { "is" } else { "are" });
    let hint = if names.iter().all(|name| name.starts_with('_')) {
        ": names that begin with `_` belong to the worker".to_owned()
    } else if meant.contains(&None) {
        format!("; known are {}, {}", OWN.join(", "), FIELDS.join(", "))
    } else {
        String::new()
    };
    NotAJob(format!("{listed} {verb} not known here{hint}"))
}

#[cfg(test)]
mod tests;
