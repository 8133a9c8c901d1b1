//! Log lines and requests that the receiver accepted, as plain structs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Attributes;

/// One log line.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// 32 hex digits, may be empty.
    pub trace_id: String,
    /// 16 hex digits, may be empty.
    pub span_id: String,
    /// For example `WARN`.
    pub severity: String,
    /// 1 to 24, as in the log data model.
    pub severity_number: u64,
    /// When it was written, in Unix nanoseconds, or 0 if unset.
    pub time: u64,
    /// When the log pipeline observed it, in Unix nanoseconds, or 0 if unset.
    pub observed_time: u64,
    /// Its text.
    pub body: String,
    /// The event's name, may be empty.
    pub event_name: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// The number of attributes dropped by limits.
    pub dropped: u64,
    /// The module that wrote it.
    pub scope_name: String,
    /// The schema URL of its scope, or else of its resource; may be empty.
    pub schema_url: String,
    /// The attributes of the resource.
    pub resource: Attributes,
}

/// The protocol, path and headers of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// `grpc` or `http`.
    pub protocol: String,
    /// Its path.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl LogLine {
    pub(super) fn from_json(value: &Value) -> LogLine {
        LogLine {
            trace_id: text(value, "trace_id"),
            span_id: text(value, "span_id"),
            severity: text(value, "severity"),
            severity_number: value["severity_number"].as_u64().unwrap_or_default(),
            time: value["time"].as_u64().unwrap_or_default(),
            observed_time: value["observed_time"].as_u64().unwrap_or_default(),
            body: text(value, "body"),
            event_name: text(value, "event_name"),
            attributes: object(value, "attributes"),
            dropped: value["dropped"].as_u64().unwrap_or_default(),
            scope_name: text(value, "scope_name"),
            schema_url: text(value, "schema_url"),
            resource: object(value, "resource"),
        }
    }
}

impl RequestRecord {
    pub(super) fn from_json(value: &Value) -> RequestRecord {
        let headers = object(value, "headers");
        let headers = headers.keys().map(|name| (name.clone(), text(&value["headers"], name)));
        RequestRecord {
            protocol: text(value, "protocol"),
            path: text(value, "path"),
            headers: headers.collect(),
        }
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn object(value: &Value, key: &str) -> Attributes {
    let pairs = value[key].as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), value.clone())).collect()
}
