//! The headers by which a destination asks to be left alone.

#![no_main]

#[path = "../../crates/cli/tests/properties/retry_after.rs"]
mod retry_after;

libfuzzer_sys::fuzz_target!(|data: &[u8]| retry_after::check(data));
