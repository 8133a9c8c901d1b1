//! A span that the receiver accepted.

use std::time::Duration;

use serde_json::Value;

use super::{Attributes, attributes, list, number, plain, string};

/// The role of a span in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpanKind {
    /// Not set.
    Unspecified,
    /// Within one program.
    Internal,
    /// Answers a request.
    Server,
    /// Makes a request and waits for its response.
    Client,
    /// Sends a message.
    Producer,
    /// Processes a message.
    Consumer,
}

/// The status of a span, with an optional message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not set.
    Unset,
    /// Set to Ok by the program.
    Ok,
    /// Set to Error, with the description, which may be empty.
    Error(String),
}

/// A link to another span.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkRecord {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// The attributes of the link.
    pub attributes: Attributes,
}

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits; `None` for a root.
    pub parent_span_id: Option<String>,
    /// The `tracestate`, may be empty.
    pub trace_state: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Unix nanoseconds.
    pub start: u64,
    /// Unix nanoseconds.
    pub end: u64,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its links, in order.
    pub links: Vec<LinkRecord>,
    /// Its status.
    pub status: Status,
    /// The name of the instrumentation scope.
    pub scope_name: String,
    /// The version of the instrumentation scope, may be empty.
    pub scope_version: String,
    /// The schema URL of its conventions, may be empty.
    pub schema_url: String,
    /// The names of its events.
    pub events: Vec<String>,
    /// The number of attributes, links and events dropped by limits.
    pub dropped: u64,
    /// The attributes of the resource.
    pub resource: Attributes,
}

impl SpanRecord {
    /// The time from its start to its end.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end.saturating_sub(self.start))
    }

    /// An attribute as text, whatever its type.
    pub fn text(&self, attribute: &str) -> Option<String> {
        self.attributes.get(attribute).map(plain)
    }

    /// Whether it is a child of that span.
    pub fn is_child_of(&self, parent: &SpanRecord) -> bool {
        self.trace_id == parent.trace_id && self.parent_span_id.as_ref() == Some(&parent.span_id)
    }

    /// Whether it has a link to that span.
    pub fn links_to(&self, other: &SpanRecord) -> bool {
        self.links.iter().any(|link| link.trace_id == other.trace_id && link.span_id == other.span_id)
    }

    pub(in crate::otlp) fn from_json(value: &Value) -> SpanRecord {
        SpanRecord {
            trace_id: string(value, "trace_id"),
            span_id: string(value, "span_id"),
            parent_span_id: Some(string(value, "parent_span_id")).filter(|id| !id.is_empty()),
            trace_state: string(value, "trace_state"),
            name: string(value, "name"),
            kind: kind(number(value, "kind")),
            start: number(value, "start"),
            end: number(value, "end"),
            attributes: attributes(&value["attributes"]),
            links: list(&value["links"], link),
            status: match number(value, "status_code") {
                0 => Status::Unset,
                1 => Status::Ok,
                _ => Status::Error(string(value, "status_message")),
            },
            scope_name: string(value, "scope_name"),
            scope_version: string(value, "scope_version"),
            schema_url: string(value, "schema_url"),
            events: list(&value["events"], plain),
            dropped: number(value, "dropped"),
            resource: attributes(&value["resource"]),
        }
    }
}

fn kind(number: u64) -> SpanKind {
    match number {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn link(value: &Value) -> LinkRecord {
    LinkRecord {
        trace_id: string(value, "trace_id"),
        span_id: string(value, "span_id"),
        attributes: attributes(&value["attributes"]),
    }
}
