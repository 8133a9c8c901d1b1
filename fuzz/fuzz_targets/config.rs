//! The text of a configuration file.

#![no_main]

#[path = "../../crates/worker/tests/properties/config.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|data: &[u8]| config::check(data));
