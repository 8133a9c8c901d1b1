//! The JSON of the field `_history`.

#![no_main]

#[path = "../../crates/cli/tests/properties/history.rs"]
mod history;

libfuzzer_sys::fuzz_target!(|data: &[u8]| history::check(data));
