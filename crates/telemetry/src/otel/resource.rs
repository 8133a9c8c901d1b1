//! Who sends the telemetry: the service, the process, and what it runs on and in.

use opentelemetry::KeyValue;
use opentelemetry_resource_detectors::{
    ContainerResourceDetector, HostResourceDetector, K8sResourceDetector, OsResourceDetector,
    ProcessResourceDetector, ServiceInstanceIdResourceDetector,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};

use crate::{Config, semconv};

/// The command line may hold the password of Redis.
const LEFT_OUT: &str = "process.command_args";

/// What is found out, then what the program knows, then what the environment says; the last one holds.
pub(super) fn resource(config: &Config) -> Resource {
    let mut attributes: Vec<KeyValue> = detected();
    attributes.extend(config.service_version.map(|version| KeyValue::new("service.version", version)));
    attributes.extend(config.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    // Not the SDK's environment detector: it does not percent-decode.
    Resource::builder_empty()
        .with_service_name(config.service_name.clone())
        .with_schema_url(attributes, semconv::SCHEMA_URL)
        .build()
}

fn detected() -> Vec<KeyValue> {
    let mut detectors: Vec<Box<dyn ResourceDetector>> = vec![
        Box::new(TelemetryResourceDetector),
        Box::new(ServiceInstanceIdResourceDetector),
        Box::new(OsResourceDetector),
        Box::new(HostResourceDetector::default()),
        Box::new(ProcessResourceDetector),
        Box::new(ContainerResourceDetector),
    ];
    // Its detector takes the name of any host for a pod's.
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        detectors.push(Box::new(K8sResourceDetector));
    }
    let found = detectors.iter().map(|detector| detector.detect());
    let mut found: Vec<KeyValue> = found
        .flat_map(|resource| {
            resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect::<Vec<_>>()
        })
        .filter(|pair| pair.key.as_str() != LEFT_OUT)
        .collect();
    if !found.iter().any(|pair| pair.key.as_str() == "host.name") {
        found.extend(host_name().map(|name| KeyValue::new("host.name", name)));
    }
    found.extend(executable().map(|name| KeyValue::new("process.executable.name", name)));
    found
}

/// Where there is no program `hostname` to ask, as in a container that holds nothing else.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn executable() -> Option<String> {
    std::env::current_exe().ok()?.file_name()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Resource {
        resource(&Config::from_lookup(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }))
    }

    fn text(resource: &Resource, key: &'static str) -> Option<String> {
        resource.get(&Key::new(key)).map(|value| value.to_string())
    }

    #[test]
    fn an_instance_has_an_id_of_its_own_and_a_host_and_a_process() {
        let resource = with(&[]);
        assert_eq!(text(&resource, "service.instance.id").map(|id| id.len()), Some(36));
        assert_eq!(text(&resource, "process.pid"), Some(std::process::id().to_string()));
        assert_eq!(text(&resource, "telemetry.sdk.language").as_deref(), Some("rust"));
        for key in ["host.name", "host.arch", "os.type", "process.executable.name", "telemetry.sdk.version"] {
            assert!(text(&resource, key).is_some_and(|text| !text.is_empty()), "{key}");
        }
    }

    #[test]
    fn the_command_line_is_left_out_since_it_may_hold_a_password() {
        assert_eq!(text(&with(&[]), LEFT_OUT), None);
    }

    #[test]
    fn the_environment_goes_before_what_was_found_out() {
        let resource = with(&[
            ("OTEL_SERVICE_NAME", "mailer"),
            ("OTEL_RESOURCE_ATTRIBUTES", "host.name=here,service.instance.id=one,service.name=ignored"),
        ]);
        assert_eq!(text(&resource, "host.name").as_deref(), Some("here"));
        assert_eq!(text(&resource, "service.instance.id").as_deref(), Some("one"));
        assert_eq!(text(&resource, "service.name").as_deref(), Some("mailer"));
    }
}
