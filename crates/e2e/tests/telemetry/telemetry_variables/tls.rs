//! Tests of the variables about TLS.

use e2e::otlp::{Receiver, Tls};

use super::{PROTOCOLS, send, work, worked};

#[test]
fn a_receiver_is_trusted_by_the_authorities_that_are_named() {
    let tls = Tls::new();
    for protocol in PROTOCOLS {
        let receiver = Receiver::start_with_tls(env!("CARGO_BIN_EXE_otlp-receiver"), &tls);
        let endpoint = receiver.endpoint(protocol);
        let common = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_METRICS_EXPORTER", "none"),
        ];
        let output = send(&common);
        assert_eq!(receiver.spans().len(), 0, "{protocol}: its authority is not trusted");
        assert!(output.stderr.contains("traces are not delivered"), "{}", output.stderr);
        let authority = tls.authority();
        send(&[&common[..], &[("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority)]].concat());
        assert!(!receiver.spans().is_empty(), "{protocol}");
    }
}

#[test]
fn a_client_shows_its_certificate_where_one_is_asked_for() {
    let tls = Tls::demanding();
    let files = [tls.authority(), tls.client_certificate(), tls.client_key()];
    for protocol in PROTOCOLS {
        let receiver = Receiver::start_with_tls(env!("CARGO_BIN_EXE_otlp-receiver"), &tls);
        let endpoint = receiver.endpoint(protocol);
        let common = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &files[0]),
        ];
        let log = work(&common);
        assert!(receiver.spans().is_empty() && log.contains("not delivered"), "{log}");
        // For spans alone: metrics still have no certificate.
        let own = [
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", files[1].as_str()),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", files[2].as_str()),
        ];
        work(&[&common[..], &own].concat());
        assert!(!receiver.spans().is_empty() && receiver.metrics().is_empty(), "{protocol}");
    }
}

#[test]
fn a_certificate_that_cannot_be_read_leaves_its_signal_unsent_and_is_logged_once() {
    let (receiver, log) = worked(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/nowhere/ca.pem"),
    ]);
    let lines = log.lines().filter(|line| line.contains("/nowhere/ca.pem"));
    assert_eq!(lines.count(), 1, "{log}");
    assert!(receiver.spans().is_empty() && !receiver.metrics().is_empty());
}
