//! What to record and where to send it, from the standard `OTEL_*` variables.

use std::time::Duration;

/// The configuration of telemetry; the same fields in every build.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether anything is recorded. Default: false. `OTEL_ENABLED`; `OTEL_SDK_DISABLED=true` wins.
    pub enabled: bool,
    /// `service.name`. Default: `postrider`. `OTEL_SERVICE_NAME`, else in `OTEL_RESOURCE_ATTRIBUTES`.
    pub service_name: String,
    /// `service.version`. Default: none.
    pub service_version: Option<&'static str>,
    /// Further attributes of the resource. `OTEL_RESOURCE_ATTRIBUTES`, percent-decoded.
    pub resource: Vec<(String, String)>,
    /// Where spans go. `OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_[TRACES_]{PROTOCOL,ENDPOINT}`.
    pub traces: Signal,
    /// Where metrics go. `OTEL_METRICS_EXPORTER`, `OTEL_EXPORTER_OTLP_[METRICS_]{PROTOCOL,ENDPOINT}`.
    pub metrics: Signal,
    /// Whether metrics are held ready for a Prometheus server to fetch. Default: false.
    /// `OTEL_METRICS_EXPORTER=prometheus` or `otlp,prometheus`.
    pub prometheus: bool,
    /// How many ended spans wait for export before new ones are dropped. Default: 16384, since the
    /// specification's 2048 lose spans at a few thousand jobs a second. `OTEL_BSP_MAX_QUEUE_SIZE`.
    pub span_queue: usize,
    /// How often metrics are sent. Default: 60 s. `OTEL_METRIC_EXPORT_INTERVAL`, in milliseconds.
    pub metric_interval: Duration,
    /// Whether `tracing` spans of libraries become spans too, through `tracing-opentelemetry`. Costly.
    /// Default: false. `POSTRIDER_TRACE_INTERNALS`.
    pub internals: bool,
    /// How log lines are written. Default: `None`, the program has a subscriber of its own or none.
    pub log: Option<Log>,
    /// What was odd in the environment, a sentence each; [`start`](crate::start) logs them.
    pub warnings: Vec<String>,
}

/// How log lines are written, to standard error.
#[derive(Clone, Debug)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// The least level, and exceptions by module: `info`, `info,postrider=debug`.
    pub filter: String,
}

/// For whom log lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Where one signal goes.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Default: [`Exporter::Otlp`].
    pub exporter: Exporter,
    /// Default: [`Protocol::Grpc`].
    pub protocol: Protocol,
    /// The URL to send to, whole. Default: `http://localhost:4317` for gRPC,
    /// `http://localhost:4318/v1/{signal}` for HTTP.
    pub endpoint: Option<String>,
}

/// What sends a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exporter {
    /// OTLP, to a collector or a backend.
    Otlp,
    /// The signal is not recorded.
    None,
}

/// How OTLP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`: protobuf over gRPC.
    Grpc,
    /// `http/protobuf`: protobuf over HTTP/1.1.
    HttpProtobuf,
}

/// The queue is allocated whole at the start: 300 MB with this many.
const MOST_SPANS: usize = 1_000_000;

impl Config {
    /// Reads the environment of the process. A value that cannot be used is left at its default, and a
    /// sentence about it stands in [`warnings`](Config::warnings).
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere. An empty value counts as unset (OpenTelemetry specification,
    /// "Environment Variable Specification", §Parsing empty value).
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader =
            Reader { lookup: &|name| lookup(name).filter(|value| !value.is_empty()), warnings: vec![] };
        let (service_name, resource) = reader.resource();
        let mut config = Self {
            enabled: reader.enabled(),
            service_name,
            service_version: None,
            resource,
            traces: reader.signal("TRACES"),
            metrics: reader.signal("METRICS"),
            prometheus: reader.prometheus(),
            span_queue: reader.number("OTEL_BSP_MAX_QUEUE_SIZE", MOST_SPANS).unwrap_or(16_384),
            metric_interval: reader
                .number("OTEL_METRIC_EXPORT_INTERVAL", 24 * 3600 * 1000)
                .map_or(Duration::from_secs(60), |millis| Duration::from_millis(millis as u64)),
            internals: reader.switch("POSTRIDER_TRACE_INTERNALS"),
            log: None,
            warnings: vec![],
        };
        reader.warn_if_off_by_oversight(config.enabled);
        config.warnings = reader.warnings;
        config
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }

    /// Once, also where both signals meet the same variable.
    fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn enabled(&mut self) -> bool {
        let enabled = self.switch("OTEL_ENABLED");
        // Only `true` in any case is true here, by the specification.
        let disabled = self.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        enabled && !disabled
    }

    fn switch(&mut self, name: &str) -> bool {
        let Some(value) = self.get(name) else { return false };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.warnings
                    .push(format!("{name} is neither true nor false, it counts as false; set it to `true`"));
                false
            }
        }
    }

    fn number(&mut self, name: &str, most: usize) -> Option<usize> {
        let value = self.get(name)?;
        let number = value.parse().ok().filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.warn(format!("{name} is not a whole number from 1 to {most}, its default is used"));
        }
        number
    }

    /// The signal's own variable goes before the one for all signals.
    fn either(&self, signal: &str, what: &str) -> Option<(String, String)> {
        [format!("OTEL_EXPORTER_OTLP_{signal}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")]
            .into_iter()
            .find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn signal(&mut self, signal: &str) -> Signal {
        let protocol = match self.either(signal, "PROTOCOL") {
            None => Protocol::Grpc,
            Some((name, value)) => match value.to_ascii_lowercase().as_str() {
                "grpc" => Protocol::Grpc,
                "http/protobuf" => Protocol::HttpProtobuf,
                _ => {
                    self.warn(format!("{name} knows `grpc` and `http/protobuf`, `grpc` is used"));
                    Protocol::Grpc
                }
            },
        };
        Signal { exporter: self.exporter(signal), protocol, endpoint: self.endpoint(signal, protocol) }
    }

    fn exporter(&mut self, signal: &str) -> Exporter {
        let name = format!("OTEL_{signal}_EXPORTER");
        match self.get(&name).map(|value| value.to_ascii_lowercase().replace(' ', "")).as_deref() {
            None | Some("otlp") => Exporter::Otlp,
            Some("none") => Exporter::None,
            Some("prometheus") if signal == "METRICS" => Exporter::None,
            Some("otlp,prometheus" | "prometheus,otlp") if signal == "METRICS" => Exporter::Otlp,
            Some(_) => {
                self.warnings.push(format!("{name} knows `otlp` and `none`, `otlp` is used"));
                Exporter::Otlp
            }
        }
    }

    fn prometheus(&self) -> bool {
        let exporters = self.get("OTEL_METRICS_EXPORTER").unwrap_or_default();
        exporters.split(',').any(|exporter| exporter.trim().eq_ignore_ascii_case("prometheus"))
    }

    /// Only the variable for all signals is a base that the signal's path is added to, and only for HTTP
    /// (OTLP exporter specification, §Endpoint URLs for OTLP/HTTP).
    fn endpoint(&self, signal: &str, protocol: Protocol) -> Option<String> {
        let (name, value) = self.either(signal, "ENDPOINT")?;
        let is_base = name == "OTEL_EXPORTER_OTLP_ENDPOINT" && protocol == Protocol::HttpProtobuf;
        if !is_base {
            return Some(value);
        }
        Some(format!("{}/v1/{}", value.trim_end_matches('/'), signal.to_ascii_lowercase()))
    }

    fn resource(&mut self) -> (String, Vec<(String, String)>) {
        let mut attributes = vec![];
        for pair in self.get("OTEL_RESOURCE_ATTRIBUTES").iter().flat_map(|list| list.split(',')) {
            match pair.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    attributes.push((key.trim().to_owned(), percent_decode(value.trim())));
                }
                _ if pair.trim().is_empty() => {}
                _ => self.warnings.push(
                    "OTEL_RESOURCE_ATTRIBUTES has a part that is not `key=value`, it is left out".to_owned(),
                ),
            }
        }
        let given = attributes.iter().position(|(key, _)| key == "service.name");
        let given = given.map(|index| attributes.remove(index).1);
        let name = self.get("OTEL_SERVICE_NAME").or(given).unwrap_or_else(|| "postrider".to_owned());
        (name, attributes)
    }

    fn warn_if_off_by_oversight(&mut self, enabled: bool) {
        const TELLING: [&str; 4] = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ];
        // Who says no in so many words has not overlooked anything.
        if enabled || self.get("OTEL_SDK_DISABLED").is_some() || self.get("OTEL_ENABLED").is_some() {
            return;
        }
        if let Some(name) = TELLING.iter().find(|name| self.get(name).is_some()) {
            self.warnings.push(format!("{name} is set but telemetry is off; OTEL_ENABLED=true turns it on"));
        }
    }
}

/// Decodes `%XX`; what is not an escape stays as it is, what is not UTF-8 becomes U+FFFD.
fn percent_decode(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::from_lookup(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn telemetry_is_off_unless_asked_for() {
        assert!(!config(&[]).enabled);
        assert!(!config(&[("OTEL_ENABLED", "")]).enabled);
        for yes in ["true", "TRUE", "1", "yes", "On"] {
            assert!(config(&[("OTEL_ENABLED", yes)]).enabled, "{yes}");
        }
        assert!(!config(&[("OTEL_ENABLED", "true"), ("OTEL_SDK_DISABLED", "True")]).enabled);
        assert!(config(&[("OTEL_ENABLED", "true"), ("OTEL_SDK_DISABLED", "1")]).enabled);
    }

    #[test]
    fn an_unclear_switch_is_off_and_says_so_once() {
        let config = config(&[("OTEL_ENABLED", "maybe")]);
        assert!(!config.enabled);
        assert_eq!(config.warnings.len(), 1);
        assert!(config.warnings[0].starts_with("OTEL_ENABLED"));
    }

    #[test]
    fn an_endpoint_without_the_switch_is_told_how_to_turn_it_on() {
        let config = config(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")]);
        assert_eq!(config.warnings.len(), 1);
        assert!(config.warnings[0].contains("OTEL_ENABLED=true"));
    }

    #[test]
    fn the_common_endpoint_is_a_base_for_http_and_whole_for_grpc() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let http = config(&[base, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
        assert_eq!(http.traces.endpoint.as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(http.metrics.endpoint.as_deref(), Some("http://collector:4318/v1/metrics"));
        assert_eq!(config(&[base]).traces.endpoint.as_deref(), Some("http://collector:4318/"));
    }

    #[test]
    fn the_endpoint_of_a_signal_is_used_as_it_is() {
        let config = config(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://one:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://two/x"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ]);
        assert_eq!(config.traces.endpoint.as_deref(), Some("http://two/x"));
    }

    #[test]
    fn resource_attributes_are_percent_decoded_and_the_service_name_has_its_own_place() {
        let config = config(&[("OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb, service.name=mailer ,bad,x=%zz")]);
        assert_eq!(config.service_name, "mailer");
        assert_eq!(
            config.resource,
            [("team".to_owned(), "a,b".to_owned()), ("x".to_owned(), "%zz".to_owned())]
        );
        assert_eq!(config.warnings.len(), 1);
    }

    #[test]
    fn metrics_may_go_to_prometheus_to_a_receiver_or_to_both() {
        let of = |value: &str| {
            let config = config(&[("OTEL_METRICS_EXPORTER", value)]);
            (config.prometheus, config.metrics.exporter, config.warnings.len())
        };
        assert_eq!(of("otlp"), (false, Exporter::Otlp, 0));
        assert_eq!(of("Prometheus"), (true, Exporter::None, 0));
        assert_eq!(of("otlp, prometheus"), (true, Exporter::Otlp, 0));
        assert_eq!(of("none"), (false, Exporter::None, 0));
        assert_eq!(of("statsd"), (false, Exporter::Otlp, 1));
    }

    #[test]
    fn a_wrong_number_keeps_the_default_and_warns() {
        let config = config(&[("OTEL_BSP_MAX_QUEUE_SIZE", "0")]);
        assert_eq!(config.span_queue, 16_384);
        assert_eq!(config.warnings.len(), 1);
    }
}
