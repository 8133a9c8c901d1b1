//! What is recorded of jobs: spans, counts, and gauges.

pub mod counts;
pub mod gauges;
pub mod retries;
