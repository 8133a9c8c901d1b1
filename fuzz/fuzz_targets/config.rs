//! The text of a configuration file.

#![no_main]

#[path = "../../crates/cli/tests/properties/config.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|data: &[u8]| config::check(data));
