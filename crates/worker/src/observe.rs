//! Metrics: counters and gauges. Also how the traces of further attempts are connected.

pub(crate) mod counters;
pub(crate) mod dead_lines;
pub(crate) mod gauges;
pub(crate) mod notice_counts;
pub(crate) mod retry_traces;
