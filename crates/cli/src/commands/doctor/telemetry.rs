//! Checks whether telemetry arrives. Nothing here is an error, since lost telemetry harms no job.

use std::time::Duration;

use http::Uri;
use postrider_queue::job::port_of;
use postrider_queue::names;
use telemetry::{Config, Exporter, Signal};
use tokio::net::TcpStream;

use super::Finding;

const CHECK: &str = "telemetry";
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn examine() -> Vec<Finding> {
    let set = std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("OTEL_"));
    if !telemetry::COMPILED {
        let seen = "this build has none";
        return vec![if set {
            Finding::warn(CHECK, format!("{seen}, but OTEL_* is set"), "use the build with telemetry")
        } else {
            Finding::ok(CHECK, seen)
        }];
    }
    let config = Config::of(names::PROGRAM);
    let mut findings: Vec<_> = config
        .warnings
        .iter()
        .map(|warning| Finding::warn(CHECK, warning.as_str(), "correct the variable"))
        .collect();
    if !config.enabled {
        findings.push(if set {
            Finding::warn(CHECK, "off, though OTEL_* is set", "turn it on with OTEL_ENABLED=true")
        } else {
            Finding::ok(CHECK, "off")
        });
        return findings;
    }
    let signals = [("traces", &config.traces), ("metrics", &config.metrics), ("logs", &config.logs)];
    for (name, signal) in signals {
        findings.push(match signal.exporter {
            Exporter::None if name == "metrics" && config.prometheus => {
                Finding::ok(CHECK, "metrics are served for Prometheus")
            }
            Exporter::None if name == "logs" => Finding::ok(CHECK, "logs go to standard error"),
            Exporter::Otlp => reach(name, signal).await,
            _ => Finding::ok(CHECK, format!("{name} are not exported")),
        });
    }
    findings.extend(signals.iter().filter_map(|(_, signal)| unreadable(signal)).take(1));
    findings
}

/// Where the telemetry goes, for the first log line of a worker.
pub(in super::super) fn destinations() -> String {
    let config = Config::of(names::PROGRAM);
    if !telemetry::COMPILED || !config.enabled {
        return if telemetry::COMPILED { "off" } else { "none in this build" }.to_owned();
    }
    let signals = [("traces", &config.traces), ("metrics", &config.metrics), ("logs", &config.logs)];
    let sent = signals.into_iter().filter(|(_, signal)| signal.exporter == Exporter::Otlp);
    let mut exported: Vec<_> = sent
        .map(|(name, signal)| {
            format!("{name} to {}", address(signal).unwrap_or_else(|_| "no URL".to_owned()))
        })
        .collect();
    exported.extend(config.prometheus.then(|| "metrics at /metrics".to_owned()));
    if exported.is_empty() { "nothing is exported".to_owned() } else { exported.join(", ") }
}

/// Reports a certificate or key file that cannot be read: the signal is not sent.
fn unreadable(signal: &Signal) -> Option<Finding> {
    let identity = signal.tls.identity.as_ref();
    let files = signal.tls.authorities.iter().chain(identity.map(|(certificate, _)| certificate));
    let failed = files.chain(identity.map(|(_, key)| key)).find_map(|path| {
        std::fs::read(path).err().map(|error| format!("{} cannot be read: {error}", path.display()))
    })?;
    let advice = "correct the path in the OTEL_EXPORTER_OTLP_* variable";
    Some(Finding::warn(CHECK, failed, advice))
}

async fn reach(name: &str, signal: &Signal) -> Finding {
    let address = match address(signal) {
        Ok(address) => address,
        Err(text) => return Finding::warn(CHECK, text, "write it as http://collector:4317"),
    };
    let failed = match tokio::time::timeout(PATIENCE, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => return Finding::ok(CHECK, format!("{name} go to {address}, which answers")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    let seen = format!("{name} go to {address}, which does not answer: {failed}");
    Finding::warn(CHECK, seen, "start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT")
}

/// Host and port of the endpoint.
fn address(signal: &Signal) -> Result<String, String> {
    // The error does not contain the text, which may hold a password.
    let uri: Uri = signal.endpoint.parse().map_err(|error| format!("the endpoint is not a URL: {error}"))?;
    let host = uri.host().ok_or("the endpoint has no host")?;
    Ok(format!("{host}:{}", port_of(&uri)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_host_and_a_port() {
        let of = |endpoint: &'static str| {
            let variable =
                |name: &str| (name == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").then(|| endpoint.to_owned());
            address(&Config::from_lookup(variable).traces)
        };
        assert_eq!(of("").as_deref(), Ok("localhost:4317"));
        assert_eq!(of("http://c:99/v1/traces").as_deref(), Ok("c:99"));
        assert_eq!(of("https://c").as_deref(), Ok("c:443"));
        assert!(of("https://user:secret@").is_err_and(|error| !error.contains("secret")));
    }
}
