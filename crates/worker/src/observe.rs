//! What is recorded of jobs: spans, counts, and gauges.

pub(crate) mod counters;
pub(crate) mod gauges;
pub(crate) mod retries;
