//! The body of a request that enqueues a job.

#![no_main]

#[path = "../../crates/cli/tests/properties/job.rs"]
mod job;
#[path = "../../crates/cli/tests/properties/json_job.rs"]
mod json_job;

libfuzzer_sys::fuzz_target!(|data: &[u8]| json_job::check(data));
