//! The headers of a job that a tick has made. Pure.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::job::Fields;

/// The headers of a job that was made by a tick: the name of its definition, and the nominal time.
pub(super) const HEADERS: [&str; 2] = ["postrider-cron", "postrider-tick"];
/// The members of the field `headers` of a checked job.
pub(super) fn headers(fields: &Fields) -> Map<String, Value> {
    value(fields, "headers").and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default()
}

/// The value of the first field of that name.
pub(super) fn value<'a>(fields: &'a Fields, name: &str) -> Option<&'a Bytes> {
    fields.iter().find(|(own, _)| own.as_ref() == name.as_bytes()).map(|(_, value)| value)
}
