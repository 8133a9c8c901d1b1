//! The text of an egress rule.

#![no_main]

#[path = "../../crates/cli/tests/properties/rule.rs"]
mod rule;

libfuzzer_sys::fuzz_target!(|data: &[u8]| rule::check(data));
