//! Metrics that a Prometheus server fetches.

use opentelemetry_prometheus::PrometheusExporter;
use prometheus::{Registry, TextEncoder};

/// The registry that the exporter writes to. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Prometheus(Registry);

impl Prometheus {
    /// A registry, and the reader that fills it on request.
    pub(super) fn new() -> Result<(Self, PrometheusExporter), String> {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build();
        Ok((Self(registry), reader.map_err(|error| error.to_string())?))
    }

    pub(crate) fn text(&self) -> Result<String, String> {
        TextEncoder::new().encode_to_string(&self.0.gather()).map_err(|error| error.to_string())
    }
}
