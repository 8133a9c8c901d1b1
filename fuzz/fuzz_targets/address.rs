//! Addresses and the texts of hosts against the egress policy.

#![no_main]

#[path = "../../crates/cli/tests/properties/address.rs"]
mod address;

libfuzzer_sys::fuzz_target!(|data: &[u8]| address::check(data));
