//! `traceparent` and `tracestate`.

#![no_main]

#[path = "../../crates/cli/tests/properties/context.rs"]
mod context;

libfuzzer_sys::fuzz_target!(|data: &[u8]| context::check(data));
