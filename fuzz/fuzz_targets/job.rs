//! The fields of an entry.

#![no_main]

#[path = "../../crates/cli/tests/properties/job.rs"]
mod job;

libfuzzer_sys::fuzz_target!(|data: &[u8]| job::check(data));
