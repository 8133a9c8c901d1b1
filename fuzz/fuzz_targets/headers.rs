//! The JSON of the field `headers`.

#![no_main]

#[path = "../../crates/worker/tests/properties/headers.rs"]
mod headers;
#[path = "../../crates/worker/tests/properties/job.rs"]
mod job;

libfuzzer_sys::fuzz_target!(|data: &[u8]| headers::check(data));
