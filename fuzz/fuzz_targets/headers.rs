//! The JSON of the field `headers`.

#![no_main]

#[path = "../../crates/cli/tests/properties/headers.rs"]
mod headers;
#[path = "../../crates/cli/tests/properties/job.rs"]
mod job;

libfuzzer_sys::fuzz_target!(|data: &[u8]| headers::check(data));
