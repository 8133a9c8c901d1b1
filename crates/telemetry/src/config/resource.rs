//! Who sends the telemetry, as the environment says it.

use super::reader::Reader;

impl Reader<'_> {
    /// The service's name, and all other attributes.
    pub(super) fn resource(&mut self) -> (String, Vec<(String, String)>) {
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
        let name = self.get("OTEL_SERVICE_NAME").or(given).unwrap_or_else(|| "postrider".to_owned());
        (name, attributes)
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
