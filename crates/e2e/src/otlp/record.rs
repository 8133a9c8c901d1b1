//! Records that the receiver accepted, as plain structs. The receiver sends its own JSON, so that no test
//! depends on protobuf.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// Attributes by name. A list is a JSON array, bytes are a list of numbers.
pub type Attributes = BTreeMap<String, Value>;

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

    pub(super) fn from_json(value: &Value) -> SpanRecord {
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

/// The type of a metric's points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A value at a time.
    Gauge,
    /// A counter.
    Sum,
    /// Counts in buckets.
    Histogram,
    /// Any other.
    Other,
}

/// Which time span the points of a sum or histogram cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// None: a gauge.
    None,
    /// Since the previous export.
    Delta,
    /// Since the start.
    Cumulative,
}

/// One point of a metric. Fields that its kind does not have are empty.
#[derive(Clone, Debug, PartialEq)]
pub struct PointRecord {
    /// Its attributes.
    pub attributes: Attributes,
    /// The number of values of a histogram.
    pub count: u64,
    /// The sum of the values of a histogram, in the unit of the metric.
    pub sum: f64,
    /// The upper bounds of the buckets of a histogram, except the last.
    pub bounds: Vec<f64>,
    /// The number of values in each bucket of a histogram.
    pub bucket_counts: Vec<u64>,
    /// The value of a gauge or sum.
    pub value: Option<f64>,
    /// Whether the value of a gauge or sum was an integer.
    pub is_whole: bool,
}

/// One metric of one export.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricRecord {
    /// Its name.
    pub name: String,
    /// Its unit, in UCUM.
    pub unit: String,
    /// Its description.
    pub description: String,
    /// The type of its points.
    pub kind: MetricKind,
    /// The time span that they cover.
    pub temporality: Temporality,
    /// For a sum: whether it only grows.
    pub is_monotonic: bool,
    /// Its points, one for each set of attributes.
    pub points: Vec<PointRecord>,
    /// The name of the instrumentation scope.
    pub scope_name: String,
    /// The version of the instrumentation scope, may be empty.
    pub scope_version: String,
    /// The schema URL of its conventions, may be empty.
    pub schema_url: String,
    /// The attributes of the resource.
    pub resource: Attributes,
}

impl MetricRecord {
    pub(super) fn from_json(value: &Value) -> MetricRecord {
        MetricRecord {
            name: string(value, "name"),
            unit: string(value, "unit"),
            description: string(value, "description"),
            kind: match value["kind"].as_str() {
                Some("gauge") => MetricKind::Gauge,
                Some("sum") => MetricKind::Sum,
                Some("histogram") => MetricKind::Histogram,
                _ => MetricKind::Other,
            },
            temporality: match number(value, "temporality") {
                1 => Temporality::Delta,
                2 => Temporality::Cumulative,
                _ => Temporality::None,
            },
            is_monotonic: value["is_monotonic"].as_bool().unwrap_or_default(),
            points: list(&value["points"], point),
            scope_name: string(value, "scope_name"),
            scope_version: string(value, "scope_version"),
            schema_url: string(value, "schema_url"),
            resource: attributes(&value["resource"]),
        }
    }
}

/// Counts of one signal over one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalStats {
    /// `grpc` or `http`
    pub protocol: String,
    /// `traces` or `metrics`
    pub signal: String,
    /// Export requests received.
    pub requests: u64,
    /// Spans or metrics accepted.
    pub accepted: u64,
    /// Spans or metrics that were refused, left without a response, or rejected in part.
    pub refused: u64,
}

impl SignalStats {
    pub(super) fn from_json(value: &Value) -> SignalStats {
        SignalStats {
            protocol: string(value, "protocol"),
            signal: string(value, "signal"),
            requests: number(value, "requests"),
            accepted: number(value, "accepted"),
            refused: number(value, "refused"),
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

fn point(value: &Value) -> PointRecord {
    PointRecord {
        attributes: attributes(&value["attributes"]),
        count: number(value, "count"),
        sum: value["sum"].as_f64().unwrap_or(0.0),
        bounds: list(&value["bounds"], |bound| bound.as_f64().expect("a bound is a number")),
        bucket_counts: list(&value["bucket_counts"], |count| count.as_u64().expect("a count is a number")),
        value: value["value"].as_f64(),
        is_whole: value["value"].is_i64() || value["value"].is_u64(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn string(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_default()
}

fn attributes(value: &Value) -> Attributes {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(read).collect()
}
