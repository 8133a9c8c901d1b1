//! Records that the receiver accepted, as plain structs. The receiver sends its own JSON, so that no test
//! depends on protobuf.

mod metric;
mod span;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::metric::{MetricKind, MetricRecord, PointRecord, Temporality};
pub use self::span::{LinkRecord, SpanKind, SpanRecord, Status};

/// Attributes by name. A list is a JSON array, bytes are a list of numbers.
pub type Attributes = BTreeMap<String, Value>;

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
