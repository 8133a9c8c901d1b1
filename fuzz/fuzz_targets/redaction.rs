//! The text of a URL that a span shows.

#![no_main]

#[path = "../../crates/cli/tests/properties/redaction.rs"]
mod redaction;

libfuzzer_sys::fuzz_target!(|data: &[u8]| redaction::check(data));
