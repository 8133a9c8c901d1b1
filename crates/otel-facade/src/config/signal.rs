//! Where one signal goes, and how. OpenTelemetry specification, "OTLP Exporter Configuration".

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use super::resource::percent_decode;

/// Where one signal goes.
#[derive(Clone)]
#[non_exhaustive]
pub struct Signal {
    /// Default: [`Exporter::Otlp`], for logs [`Exporter::None`].
    pub exporter: Exporter,
    /// Default: [`Protocol::Grpc`].
    pub protocol: Protocol,
    /// The complete URL to send to, with its scheme. Default: `http://localhost:4317` for gRPC,
    /// `http://localhost:4318/v1/{signal}` for HTTP.
    pub endpoint: String,
    /// Headers of each request. `HEADERS`.
    pub headers: Headers,
    /// Default: none. `COMPRESSION`. None set in code does not override `gzip` in the environment, because the exporter
    /// reads that itself. A warning is given.
    pub compression: Compression,
    /// The limit of an export with all its attempts. Default: 10 s. `TIMEOUT`, in milliseconds, and the
    /// export timeout of the signal's processor, whichever is shorter.
    pub timeout: Duration,
    /// Certificates, where the endpoint is `https`.
    pub tls: Tls,
}

/// The exporter of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exporter {
    /// OTLP, to a collector or a backend.
    Otlp,
    /// The signal is not sent.
    None,
}

/// The transport of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// `grpc`: protobuf over gRPC.
    Grpc,
    /// `http/protobuf`: protobuf over HTTP/1.1.
    HttpProtobuf,
}

/// The compression of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
}

/// Names in lower case, and values. `Debug` hides the values, which may be secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

/// Files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// The authorities to trust, instead of the system's. `CERTIFICATE`.
    pub authorities: Option<PathBuf>,
    /// The certificate to show, with its chain, and its key. `CLIENT_CERTIFICATE`, `CLIENT_KEY`.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Without the endpoint: it may hold a password.
impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("exporter", &self.exporter)
            .field("protocol", &self.protocol)
            .field("headers", &self.headers)
            .field("compression", &self.compression)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Reader<'_> {
    pub(super) fn signal(&mut self, signal: &str, processor_timeout: &str) -> Signal {
        let exporter = self.exporter(signal);
        let protocol = self.protocol(signal);
        let endpoint = self.endpoint(signal, protocol);
        let (headers, compression) = (self.headers(signal), self.compression(signal));
        let timeout = self.timeout(signal).min(self.millis(processor_timeout, Duration::from_secs(30)));
        let tls = self.tls(signal, endpoint.as_deref().unwrap_or_default());
        // A signal that would go to the wrong place goes nowhere.
        let exporter = if endpoint.is_some() { exporter } else { Exporter::None };
        let endpoint = endpoint.unwrap_or_default();
        Signal { exporter, protocol, endpoint, headers, compression, timeout, tls }
    }

    /// The signal's own variable, else the one for all signals.
    fn either(&self, signal: &str, what: &str) -> Option<(String, String)> {
        [format!("OTEL_EXPORTER_OTLP_{signal}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")]
            .into_iter()
            .find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn exporter(&mut self, signal: &str) -> Exporter {
        let name = format!("OTEL_{signal}_EXPORTER");
        let default = if signal == "LOGS" { Exporter::None } else { Exporter::Otlp };
        let metrics = signal == "METRICS";
        let value = self.word(&name).map(|value| value.replace(' ', ""));
        match value.as_deref() {
            None => default,
            Some("otlp") => Exporter::Otlp,
            Some("none") => Exporter::None,
            Some("prometheus") if metrics => Exporter::None,
            Some("otlp,prometheus" | "prometheus,otlp") if metrics => Exporter::Otlp,
            Some(_) => {
                let known = if metrics {
                    "`otlp`, `prometheus`, `otlp,prometheus` and `none`"
                } else {
                    "`otlp` and `none`"
                };
                let used = if default == Exporter::Otlp { "otlp" } else { "none" };
                self.warn(format!("{name} knows {known}; `{used}` is used"));
                default
            }
        }
    }

    pub(super) fn prometheus(&self) -> bool {
        let exporters = self.word("OTEL_METRICS_EXPORTER").unwrap_or_default().replace(' ', "");
        matches!(exporters.as_str(), "prometheus" | "otlp,prometheus" | "prometheus,otlp")
    }

    fn protocol(&mut self, signal: &str) -> Protocol {
        let Some((name, value)) = self.either(signal, "PROTOCOL") else { return Protocol::Grpc };
        match value.to_ascii_lowercase().as_str() {
            "grpc" => Protocol::Grpc,
            "http/protobuf" => Protocol::HttpProtobuf,
            "http/json" => {
                self.warn(format!("{name} does not know `http/json`; `http/protobuf` is used"));
                Protocol::HttpProtobuf
            }
            _ => {
                self.warn(format!("{name} knows `grpc` and `http/protobuf`; `grpc` is used"));
                Protocol::Grpc
            }
        }
    }

    /// Only the variable for all signals is a base that the signal's path is added to, and only for HTTP
    /// (§Endpoint URLs for OTLP/HTTP). `None` where the value is no URL.
    fn endpoint(&mut self, signal: &str, protocol: Protocol) -> Option<String> {
        let path = format!("/v1/{}", signal.to_ascii_lowercase());
        let Some((name, value)) = self.either(signal, "ENDPOINT") else {
            return Some(match protocol {
                Protocol::Grpc => "http://localhost:4317".to_owned(),
                Protocol::HttpProtobuf => format!("http://localhost:4318{path}"),
            });
        };
        let Some(url) = self.with_scheme(signal, &name, value, protocol) else {
            self.warn(format!(
                "{name} is not the URL of a receiver (as http://collector:4317); {} are not sent until it is corrected",
                signal.to_ascii_lowercase()
            ));
            return None;
        };
        let is_base = name == "OTEL_EXPORTER_OTLP_ENDPOINT" && protocol == Protocol::HttpProtobuf;
        Some(if is_base { format!("{}{path}", url.trim_end_matches('/')) } else { url })
    }

    /// Without a scheme, gRPC is secure unless `INSECURE` is true; HTTP needs one.
    fn with_scheme(&mut self, signal: &str, name: &str, value: String, protocol: Protocol) -> Option<String> {
        let value = if value.contains("://") {
            value
        } else {
            if protocol == Protocol::HttpProtobuf {
                self.warn(format!(
                    "{name} has no scheme; https:// is used, write http:// where that is meant"
                ));
                return host(&value).then(|| format!("https://{value}"));
            }
            let insecure = self.either(signal, "INSECURE").is_some_and(|(name, _)| self.boolean(&name));
            format!("{}://{value}", if insecure { "http" } else { "https" })
        };
        let (scheme, rest) = value.split_once("://")?;
        let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        (known && host(rest)).then_some(value)
    }

    /// `key=value,…`, percent-encoded. Warnings repeat none of it: it consists of secrets.
    fn headers(&mut self, signal: &str) -> Headers {
        let mut headers = vec![];
        let Some((name, list)) = self.either(signal, "HEADERS") else { return Headers::default() };
        for pair in list.split(',').filter(|pair| !pair.trim().is_empty()) {
            let parts = pair.split_once('=');
            let parts =
                parts.map(|(key, value)| (key.trim().to_ascii_lowercase(), percent_decode(value.trim())));
            match parts {
                Some((key, value)) if is_token(&key) && is_visible(&value) => headers.push((key, value)),
                _ => self.warn(format!("{name} has a part that is not `name=value`, it is left out")),
            }
        }
        Headers(headers)
    }

    fn compression(&mut self, signal: &str) -> Compression {
        let Some((name, value)) = self.either(signal, "COMPRESSION") else { return Compression::None };
        match value.to_ascii_lowercase().as_str() {
            "none" => Compression::None,
            "gzip" => Compression::Gzip,
            _ => {
                self.warn(format!("{name} knows `gzip` and `none`; `none` is used"));
                Compression::None
            }
        }
    }

    fn timeout(&mut self, signal: &str) -> Duration {
        let default = Duration::from_secs(10);
        let Some((name, _)) = self.either(signal, "TIMEOUT") else { return default };
        let timeout = self.millis(&name, default);
        if timeout < Duration::from_millis(100) {
            self.warn(format!(
                "{name} is in milliseconds, and less than 100 of them hardly suffice: 10 s are 10000"
            ));
        }
        timeout
    }

    fn tls(&mut self, signal: &str, endpoint: &str) -> Tls {
        let authorities = self.either(signal, "CERTIFICATE");
        let certificate = self.either(signal, "CLIENT_CERTIFICATE");
        let key = self.either(signal, "CLIENT_KEY");
        let any =
            [&authorities, &certificate, &key].into_iter().flatten().next().map(|(name, _)| name.clone());
        if let Some(name) = any.filter(|_| endpoint.to_ascii_lowercase().starts_with("http://")) {
            self.warn(format!("{name} is ignored: the endpoint is http://, which is not encrypted"));
            return Tls::default();
        }
        let identity = match (certificate, key) {
            (Some((_, certificate)), Some((_, key))) => Some((certificate.into(), key.into())),
            (None, None) => None,
            (Some((name, _)), None) => {
                self.warn(format!("{name} is ignored: it needs OTEL_EXPORTER_OTLP_CLIENT_KEY as well"));
                None
            }
            (None, Some((name, _))) => {
                self.warn(format!(
                    "{name} is ignored: it needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE as well"
                ));
                None
            }
        };
        Tls { authorities: authorities.map(|(_, path)| path.into()), identity }
    }
}

/// Whether there is a host before the port and the path.
fn host(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    !host.is_empty() && !host.starts_with(':') && !host.contains(char::is_whitespace)
}

/// RFC 9110, §5.6.2
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_visible(value: &str) -> bool {
    value.bytes().all(|byte| (0x20..=0x7e).contains(&byte) || byte == b'\t')
}
