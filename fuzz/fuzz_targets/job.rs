//! The fields of an entry.

#![no_main]

#[path = "../../crates/worker/tests/properties/job.rs"]
mod job;

libfuzzer_sys::fuzz_target!(|data: &[u8]| job::check(data));
