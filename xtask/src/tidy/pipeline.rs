//! Spans, metrics and log lines leave only through the official exporters.

use super::{Source, without_tests};

const EXPORTERS: &str = "crates/otel-facade/src/otel/exporter";

/// Traits of the SDK that could send telemetry, and the only files that may implement them.
const PARTS: [(&str, &str); 7] = [
    ("SpanExporter", EXPORTERS),
    ("PushMetricExporter", EXPORTERS),
    ("LogExporter", EXPORTERS),
    ("HttpClient", EXPORTERS),
    ("SpanProcessor", "crates/otel-facade/src/otel/queue"),
    ("LogProcessor", "crates/otel-facade/src/otel/logs"),
    ("MetricReader", EXPORTERS),
];

/// Packages of OpenTelemetry that a manifest may name. `prometheus` is the only one that does not export over
/// OTLP: it is scraped.
const PACKAGES: [&str; 9] = [
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry-otlp",
    "opentelemetry-http",
    "opentelemetry-proto",
    "opentelemetry-appender-tracing",
    "opentelemetry-prometheus",
    "opentelemetry-resource-detectors",
    "tracing-opentelemetry",
];

/// Finds `impl SpanExporter for …` and similar. Tests at the end of a file may implement exporters.
pub(super) fn parts_in_their_files(source: &Source) -> Vec<String> {
    if !source.rust_in("crates/") || source.path.starts_with("crates/e2e/") {
        return Vec::new();
    }
    let mut failures = Vec::new();
    for (line, text) in (1..).zip(without_tests(&source.text).lines()) {
        let Some((name, home)) = PARTS.iter().find(|(name, _)| implements(text, name)) else { continue };
        if !source.path.starts_with(home) {
            let rule = format!("`{name}` is implemented only in {home}*: all signals leave in one way");
            failures.push(source.failure(line, &rule));
        }
    }
    failures
}

fn implements(line: &str, name: &str) -> bool {
    let implementation = line.trim_start().strip_prefix("impl").and_then(|rest| rest.split_once(" for "));
    implementation.is_some_and(|(what, _)| what.split([':', ' ', '<', '>']).any(|word| word == name))
}

pub(super) fn known_packages(source: &Source) -> Vec<String> {
    if !source.path.ends_with("Cargo.toml") {
        return Vec::new();
    }
    let lines = source.lines(|line| {
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        name.contains("opentelemetry")
            && !name.contains('"')
            && !name.contains('[')
            && !PACKAGES.contains(&name)
    });
    let rule = "xtask/src/tidy/pipeline.rs does not list this OpenTelemetry package: is it an exporter?";
    lines.into_iter().map(|line| source.failure(line, rule)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn an_exporter_of_our_own_is_found() {
        let exporter = "impl SpanExporter for Own {\nimpl opentelemetry_sdk::logs::LogExporter for Own {\n";
        check(parts_in_their_files, "crates/otel-facade/src/otel/own.rs", exporter, &[1, 2]);
        check(parts_in_their_files, "crates/otel-facade/src/otel/exporter/sender.rs", exporter, &[]);
        let processor = "struct SpanProcessor;\nimpl<T> SpanProcessor for Own<T> {";
        check(parts_in_their_files, "crates/worker/src/trace.rs", processor, &[2]);
        check(parts_in_their_files, "crates/otel-facade/src/otel/queue.rs", processor, &[]);
        let tested = format!("//! Kept.\n#[cfg(test)]\nmod tests {{\n{exporter}}}");
        check(parts_in_their_files, "crates/otel-facade/src/otel.rs", &tested, &[]);
    }

    #[test]
    fn an_unlisted_package_is_found() {
        let packages =
            "[dependencies]\nopentelemetry-otlp.workspace = true\nopentelemetry-zipkin = \"0.33\"\n";
        check(known_packages, "crates/otel-facade/Cargo.toml", packages, &[3]);
        check(known_packages, "Cargo.toml", "otel = [\"dep:opentelemetry-otlp\"]", &[]);
    }
}
