//! The resource: which service sends the telemetry, by the environment.

use std::path::Path;

use super::program::Program;
use super::reader::Reader;

impl Reader<'_> {
    /// The service's name where the environment has one, and all other attributes.
    pub(super) fn resource(&mut self) -> (Option<String>, Vec<(String, String)>) {
        let mut attributes = vec![];
        for pair in self.get("OTEL_RESOURCE_ATTRIBUTES").iter().flat_map(|list| list.split(',')) {
            match pair.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    attributes.push((key.trim().to_owned(), percent_decode(value.trim())));
                }
                _ if pair.trim().is_empty() => {}
                _ => self.warn(
                    "OTEL_RESOURCE_ATTRIBUTES has a part that is not `key=value`, it is left out".to_owned(),
                ),
            }
        }
        let given = attributes.iter().position(|(key, _)| key == "service.name");
        let given = given.map(|index| attributes.remove(index).1);
        (self.get("OTEL_SERVICE_NAME").or(given), attributes)
    }
}

/// The specification's fallback where the program has no name either (semantic conventions 1.44.0,
/// `docs/resource/README.md`, "Service").
pub(super) fn default_name(program: Option<Program>) -> String {
    if let Some(program) = program {
        return program.name.to_owned();
    }
    let executable = std::env::current_exe().ok();
    match executable.as_deref().and_then(Path::file_name) {
        Some(name) => format!("unknown_service:{}", name.to_string_lossy()),
        None => "unknown_service".to_owned(),
    }
}

/// Decodes `%XX`; what is not an escape stays as it is, what is not UTF-8 becomes U+FFFD.
pub(super) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
