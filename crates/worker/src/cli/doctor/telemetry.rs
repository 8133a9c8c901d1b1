//! Does telemetry arrive? It harms no job where it does not, so nothing here is an error.

use std::time::Duration;

use http::Uri;
use telemetry::{Config, Exporter, Protocol, Signal};
use tokio::net::TcpStream;

use super::Finding;

const CHECK: &str = "telemetry";
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn examine() -> Vec<Finding> {
    let set = std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("OTEL_"));
    if !telemetry::COMPILED {
        let seen = "this build has none";
        return vec![if set {
            Finding::warn(CHECK, format!("{seen}, and OTEL_* is set"), "use the build with telemetry")
        } else {
            Finding::ok(CHECK, seen)
        }];
    }
    let config = Config::from_env();
    let mut findings: Vec<_> = config
        .warnings
        .iter()
        .map(|warning| Finding::warn(CHECK, warning.as_str(), "put the variable right"))
        .collect();
    if !config.enabled {
        findings.push(if set {
            Finding::warn(CHECK, "off, though OTEL_* is set", "OTEL_ENABLED=true turns it on")
        } else {
            Finding::ok(CHECK, "off")
        });
        return findings;
    }
    for (name, signal) in [("traces", &config.traces), ("metrics", &config.metrics)] {
        findings.push(match signal.exporter {
            Exporter::None => Finding::ok(CHECK, format!("{name} go nowhere")),
            Exporter::Otlp => reach(name, signal).await,
        });
    }
    findings
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
    Finding::warn(CHECK, seen, "start the collector, or put OTEL_EXPORTER_OTLP_ENDPOINT right")
}

/// Host and port of the endpoint.
fn address(signal: &Signal) -> Result<String, String> {
    let port = match signal.protocol {
        Protocol::Grpc => 4317,
        Protocol::HttpProtobuf => 4318,
    };
    let Some(endpoint) = &signal.endpoint else { return Ok(format!("localhost:{port}")) };
    // The text is not repeated: it may hold a password.
    let uri: Uri = endpoint.parse().map_err(|error| format!("the endpoint is not a URL: {error}"))?;
    let host = uri.host().ok_or("the endpoint has no host")?;
    let implied = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return Err("the endpoint is neither http:// nor https://".to_owned()),
    };
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(implied)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_host_and_a_port() {
        let of = |endpoint: Option<&str>, protocol| {
            address(&Signal { exporter: Exporter::Otlp, protocol, endpoint: endpoint.map(str::to_owned) })
        };
        assert_eq!(of(None, Protocol::Grpc).as_deref(), Ok("localhost:4317"));
        assert_eq!(of(None, Protocol::HttpProtobuf).as_deref(), Ok("localhost:4318"));
        assert_eq!(of(Some("http://c:99/v1/traces"), Protocol::HttpProtobuf).as_deref(), Ok("c:99"));
        assert_eq!(of(Some("https://c"), Protocol::Grpc).as_deref(), Ok("c:443"));
        assert!(of(Some("user:secret"), Protocol::Grpc).is_err_and(|error| !error.contains("secret")));
    }
}
