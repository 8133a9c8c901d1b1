//! A metric that the receiver accepted.

use serde_json::Value;

use super::{Attributes, attributes, list, number, string};

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
    pub(in crate::otlp) fn from_json(value: &Value) -> MetricRecord {
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
