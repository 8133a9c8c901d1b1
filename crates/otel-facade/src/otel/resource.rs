//! The resource: the service, the process, and the system and container that it runs in.

use std::fs;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry_resource_detectors::{
    ContainerResourceDetector, HostResourceDetector, K8sResourceDetector, OsResourceDetector,
    ProcessResourceDetector, ServiceInstanceIdResourceDetector,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};

use crate::{Config, semconv};

/// The command line may contain a password.
const LEFT_OUT: &str = "process.command_args";
/// The kernel reports times to programs in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Detected attributes, then the program's, then those of the environment. The last one wins.
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
    // Its detector would report the name of any host as a pod's.
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        detectors.push(Box::new(K8sResourceDetector));
    }
    let found = detectors.iter().map(|detector| detector.detect());
    let mut found: Vec<KeyValue> = found
        .flat_map(|resource| {
            resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect::<Vec<_>>()
        })
        .filter(|pair| !["host.arch", LEFT_OUT].contains(&pair.key.as_str()))
        .collect();
    found.push(KeyValue::new("host.arch", architecture(std::env::consts::ARCH)));
    if !found.iter().any(|pair| pair.key.as_str() == "host.name") {
        found.extend(host_name().map(|name| KeyValue::new("host.name", name)));
    }
    found.extend(executable().map(|name| KeyValue::new("process.executable.name", name)));
    found.extend(creation_time().map(|time| KeyValue::new("process.creation.time", time)));
    found
}

/// Rust's name of an architecture as the conventions name it (`docs/registry/attributes/host.md`).
fn architecture(name: &'static str) -> &'static str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        name => name,
    }
}

/// When this process began, in ISO 8601. With the process id it identifies the process (`docs/registry/entities/process.md`).
fn creation_time() -> Option<String> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let began = began(&read("/proc/stat")?, &read("/proc/self/stat")?)?;
    Some(humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + began).to_string())
}

/// Since 1970. The kernel reports when it booted, and how long after that the process began (`proc_pid_stat(5)`, field 22).
fn began(stat: &str, own_stat: &str) -> Option<Duration> {
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    // Behind the program's name in brackets, which may hold anything, the fields are counted from 3.
    let ticks = own_stat.rsplit_once(')')?.1.split_whitespace().nth(22 - 3)?;
    Some(Duration::from_secs(boot.trim().parse().ok()?) + TICK * ticks.parse().ok()?)
}

/// Where there is no program `hostname` to ask, as in a container that holds nothing else.
fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
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
    fn an_instance_has_its_own_id_and_a_host_and_a_process() {
        let resource = with(&[]);
        assert_eq!(text(&resource, "service.instance.id").map(|id| id.len()), Some(36));
        assert_eq!(text(&resource, "process.pid"), Some(std::process::id().to_string()));
        assert_eq!(text(&resource, "telemetry.sdk.language").as_deref(), Some("rust"));
        for key in ["host.name", "host.arch", "os.type", "process.executable.name", "telemetry.sdk.version"] {
            assert!(text(&resource, key).is_some_and(|text| !text.is_empty()), "{key}");
        }
    }

    #[test]
    fn the_architecture_has_the_name_that_the_conventions_give_it() {
        let found = text(&with(&[]), "host.arch");
        assert!(
            ["amd64", "arm64", "arm32", "x86", "ppc64", "s390x"].contains(&found.as_deref().unwrap_or("")),
            "{found:?}"
        );
        assert_eq!(["x86_64", "aarch64", "s390x"].map(architecture), ["amd64", "arm64", "s390x"]);
    }

    #[test]
    fn the_process_began_before_now_and_not_long_before() {
        let found = text(&with(&[]), "process.creation.time").expect("the tests run on Linux");
        let began = humantime::parse_rfc3339(&found).unwrap_or_else(|error| panic!("{found}: {error}"));
        // The kernel rounds the time of its boot to a second.
        let age = (SystemTime::now() + Duration::from_secs(1)).duration_since(began).expect("it has begun");
        assert!(age < Duration::from_secs(3600), "{found}");
    }

    #[test]
    fn when_a_process_began_is_read_from_what_the_kernel_writes() {
        let stat = "cpu 1 2 3\nbtime 1700000000\nprocesses 7\n";
        let own = "7 (a )b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 1234 9 9";
        assert_eq!(began(stat, own), Some(Duration::from_millis(1_700_000_012_340)));
        assert_eq!(began("cpu 1", own), None);
        assert_eq!(began(stat, "7 (a) S"), None);
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
