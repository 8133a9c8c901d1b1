//! Builds the official exporters from the configuration. They report partial success and bad responses only in
//! events of `tracing`, which [`ResponseObserver`] collects; the connector and the HTTP client add what they see.

mod connector;
mod http_client;
mod mistake;
mod observer;
mod refusal;
mod sender;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, RetryPolicy, SpanExporter, WithExportConfig,
    WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::metrics::Temporality;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::Endpoint;

use crate::{Compression, Protocol, Signal};

use connector::Connector;
use http_client::HyperClient;

pub(super) use observer::{PartialSuccess, ResponseObserver};
pub(super) use refusal::{Refusal, outcome, outcome_of_ended};
pub(super) use sender::{LogSender, MetricSender, SpanSender};

/// Pause before the second attempt. It doubles with each attempt, up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// The exporter does not cut a pause short, and a shutdown has to wait for its end.
pub(super) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Spreads the retries of processes that failed together. Not more: a receiver that is back should be found soon.
const RETRY_JITTER_MAX: Duration = Duration::from_millis(50);
/// A receiver that vanished without closing its connection is noticed after one and a half of these.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The kind of telemetry that an exporter sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Traces,
    Metrics,
    Logs,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// Builds the exporter of one signal. Call it within the runtime that the connections shall run on.
#[derive(Debug)]
pub(super) struct ExporterBuilder<'a> {
    pub(super) signal: &'a Signal,
    uri: Uri,
    pub(super) observer: Arc<ResponseObserver>,
}

impl<'a> ExporterBuilder<'a> {
    pub(super) fn new(signal: &'a Signal) -> Result<Self, String> {
        let uri = signal.endpoint.parse().map_err(|error| format!("the endpoint is not a URL: {error}"))?;
        Ok(Self { signal, uri, observer: Arc::default() })
    }

    /// Scheme, host and port of the receiver. User, path and query are left out, since they may be secret.
    pub(super) fn server(&self) -> String {
        server(&self.uri)
    }

    pub(super) fn spans(&self) -> Result<SpanExporter, String> {
        built(match self.signal.protocol {
            Protocol::Grpc => self.over_grpc(SpanExporter::builder().with_tonic())?.build(),
            Protocol::HttpProtobuf => self.over_http(SpanExporter::builder().with_http())?.build(),
        })
    }

    pub(super) fn metrics(&self, temporality: Temporality) -> Result<MetricExporter, String> {
        let builder = MetricExporter::builder().with_temporality(temporality);
        built(match self.signal.protocol {
            Protocol::Grpc => self.over_grpc(builder.with_tonic())?.build(),
            Protocol::HttpProtobuf => self.over_http(builder.with_http())?.build(),
        })
    }

    pub(super) fn logs(&self) -> Result<LogExporter, String> {
        built(match self.signal.protocol {
            Protocol::Grpc => self.over_grpc(LogExporter::builder().with_tonic())?.build(),
            Protocol::HttpProtobuf => self.over_http(LogExporter::builder().with_http())?.build(),
        })
    }

    fn over_grpc<B: WithExportConfig + WithTonicConfig>(&self, builder: B) -> Result<B, String> {
        let endpoint = Endpoint::from(self.uri.clone())
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_INTERVAL / 2);
        // Not `Channel::new`: it would turn a failed connection into an error that the exporter does not retry.
        let channel = endpoint.connect_with_connector_lazy(self.connector()?);
        let metadata = metadata(self.signal);
        let builder = builder
            .with_channel(channel)
            // Replaces the metadata that the exporter takes from the environment.
            .with_interceptor(move |mut request: tonic::Request<()>| {
                request.metadata_mut().clone_from(&metadata);
                Ok(request)
            })
            .with_timeout(self.signal.timeout)
            .with_retry_policy(retry_policy());
        Ok(match self.signal.compression {
            Compression::Gzip => builder.with_compression(opentelemetry_otlp::Compression::Gzip),
            Compression::None => builder,
        })
    }

    fn over_http<B: WithExportConfig + WithHttpConfig>(&self, builder: B) -> Result<B, String> {
        let client = HyperClient::new(self.signal, self.connector()?, self.observer.clone());
        let builder = builder
            .with_endpoint(self.uri.to_string())
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_http_client(client)
            .with_timeout(self.signal.timeout)
            .with_retry_policy(retry_policy());
        Ok(match self.signal.compression {
            Compression::Gzip => builder.with_compression(opentelemetry_otlp::Compression::Gzip),
            Compression::None => builder,
        })
    }

    fn connector(&self) -> Result<Connector, String> {
        Ok(Connector::new(
            tls::connector(self.signal, &self.uri)?,
            self.signal.protocol,
            self.observer.clone(),
        ))
    }
}

fn built<E>(exporter: Result<E, ExporterBuildError>) -> Result<E, String> {
    exporter.map_err(|error| error.to_string())
}

/// Retries until the timeout.
fn retry_policy() -> RetryPolicy {
    RetryPolicy::recommended()
        .with_max_retries(usize::MAX)
        .with_initial_delay(RETRY_PAUSE)
        .with_max_delay(RETRY_PAUSE_MAX)
        .with_max_jitter(RETRY_JITTER_MAX)
}

fn metadata(signal: &Signal) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("user-agent", MetadataValue::from_static(USER_AGENT));
    for (name, value) in &signal.headers.0 {
        if let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.as_bytes()), value.parse()) {
            metadata.insert(name, value);
        }
    }
    metadata
}

/// The variable that makes the exporter compress although the configuration does not: an exporter reads it by itself, and
/// has no setting for "no compression".
pub(super) fn forced_compression(kind: Kind, signal: &Signal) -> Option<String> {
    let own = format!("OTEL_EXPORTER_OTLP_{}_COMPRESSION", kind.name().to_ascii_uppercase());
    let first = [own, "OTEL_EXPORTER_OTLP_COMPRESSION".to_owned()].into_iter().find_map(|name| {
        let value = std::env::var(&name).ok()?.to_ascii_lowercase();
        ["gzip", "none"].contains(&value.as_str()).then_some((name, value))
    });
    let (name, value) = first?;
    (signal.compression == Compression::None && value == "gzip").then_some(name)
}

fn server(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_named_without_what_may_be_secret() {
        let shown = |text: &str| server(&text.parse().expect("it is a URL"));
        assert_eq!(
            shown("https://me:hunter2@otlp.example:443/hunter2?key=hunter2"),
            "https://otlp.example:443"
        );
        assert_eq!(shown("http://[::1]:4317"), "http://[::1]:4317");
        assert_eq!(shown("https://otlp.example/v1/traces"), "https://otlp.example");
    }
}
