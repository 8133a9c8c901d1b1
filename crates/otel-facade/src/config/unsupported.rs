//! Warnings about variables of the specification that are not supported.

use super::reader::Reader;

impl Reader<'_> {
    /// The hint is there where metrics are served for Prometheus.
    pub(super) fn warn_of_unsupported(&mut self, metrics_hint: Option<&str>) {
        for name in ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"] {
            if self.get(name).is_some() {
                self.warn(format!("{name} is ignored: telemetry is configured by variables alone"));
            }
        }
        let exemplars = "OTEL_METRICS_EXEMPLAR_FILTER";
        if self.word(exemplars).is_some_and(|filter| filter != "always_off") {
            self.warn(format!("{exemplars} is ignored: metrics are sent without exemplars"));
        }
        let aggregation = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
        if self.word(aggregation).is_some_and(|kind| kind != "explicit_bucket_histogram") {
            self.warn(format!(
                "{aggregation} is ignored: histograms have the explicit buckets of the conventions"
            ));
        }
        for name in ["OTEL_EXPORTER_PROMETHEUS_HOST", "OTEL_EXPORTER_PROMETHEUS_PORT"] {
            if let Some(hint) = metrics_hint.filter(|_| self.get(name).is_some()) {
                self.warn(format!("{name} is ignored: {hint}"));
            }
        }
    }
}
