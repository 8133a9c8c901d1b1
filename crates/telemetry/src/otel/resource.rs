//! Who sends the telemetry.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use crate::{Config, semconv};

pub(super) fn resource(config: &Config) -> Resource {
    let mut attributes = vec![KeyValue::new("service.instance.id", instance_id())];
    attributes.extend(config.service_version.map(|version| KeyValue::new("service.version", version)));
    attributes.extend(config.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    // Not the SDK's environment detector: it does not percent-decode.
    Resource::builder_empty()
        .with_detector(Box::new(opentelemetry_sdk::resource::TelemetryResourceDetector))
        .with_service_name(config.service_name.clone())
        .with_schema_url(attributes, semconv::SCHEMA_URL)
        .build()
}

/// A random UUID, version 4 (RFC 9562, §5.4), new for each process.
fn instance_id() -> String {
    let random = u128::from_be_bytes(RandomIdGenerator::default().new_trace_id().to_bytes());
    let uuid = random & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{uuid:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_id_is_a_version_4_uuid() {
        let id = instance_id();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert_ne!(id, instance_id());
    }
}
