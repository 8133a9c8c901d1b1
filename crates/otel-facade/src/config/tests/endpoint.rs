//! Where each signal is sent, and how.

use super::*;

#[test]
fn the_common_endpoint_is_a_base_for_http_and_whole_for_grpc() {
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
    let http = quiet(&[base, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
    assert_eq!(http.traces.endpoint, "http://collector:4318/v1/traces");
    assert_eq!(http.metrics.endpoint, "http://collector:4318/v1/metrics");
    assert_eq!(http.logs.endpoint, "http://collector:4318/v1/logs");
    assert_eq!(quiet(&[base]).traces.endpoint, "http://collector:4318/");
}

#[test]
fn without_an_endpoint_the_receiver_is_on_this_machine() {
    assert_eq!(quiet(&[]).traces.endpoint, "http://localhost:4317");
    let http = quiet(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/protobuf")]);
    assert_eq!(http.logs.endpoint, "http://localhost:4318/v1/logs");
}

#[test]
fn the_endpoint_of_a_signal_is_used_as_it_is() {
    let config = quiet(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://one:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://two/x"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ]);
    assert_eq!(config.traces.endpoint, "http://two/x");
    assert_eq!(config.metrics.endpoint, "http://one:4318/v1/metrics");
}

#[test]
fn an_endpoint_without_a_scheme_is_secure_unless_set_otherwise() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    assert_eq!(quiet(&[endpoint]).traces.endpoint, "https://collector:4317");
    let insecure = quiet(&[endpoint, ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE")]);
    assert_eq!(insecure.traces.endpoint, "http://collector:4317");
    let one = quiet(&[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true")]);
    assert_eq!(one.traces.endpoint, "http://collector:4317");
    assert_eq!(one.metrics.endpoint, "https://collector:4317");
    let unclear = config(&[endpoint, ("OTEL_EXPORTER_OTLP_INSECURE", "1")]);
    assert_eq!((unclear.traces.endpoint.as_str(), unclear.warnings.len()), ("https://collector:4317", 1));
    let explicit = quiet(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
    ]);
    assert_eq!(explicit.traces.endpoint, "https://collector:4317", "a scheme is used as it is");
    let http = config(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
    assert_eq!(http.traces.endpoint, "https://collector:4317/v1/traces");
    assert_eq!(http.warnings.len(), 1, "the specification wants a scheme here");
}

#[test]
fn what_is_no_url_is_no_endpoint_and_its_text_is_not_repeated() {
    for wrong in ["http://", "ftp://secret.example", "unix:///run/secret", "http://:4317", "https://a secret"]
    {
        let config = config(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", wrong)]);
        assert_eq!(config.warnings.len(), 1, "{wrong}");
        assert!(!config.warnings[0].contains("secret"), "{:?}", config.warnings);
        assert_eq!((config.traces.exporter, config.metrics.exporter), (Exporter::None, Exporter::Otlp));
    }
}

#[test]
fn protocols_are_grpc_and_http_with_protobuf() {
    assert_eq!(quiet(&[]).traces.protocol, Protocol::Grpc);
    let one = quiet(&[("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")]);
    assert_eq!((one.traces.protocol, one.metrics.protocol), (Protocol::Grpc, Protocol::HttpProtobuf));
    assert_eq!(warned("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json").traces.protocol, Protocol::HttpProtobuf);
    assert_eq!(warned("OTEL_EXPORTER_OTLP_PROTOCOL", "udp").traces.protocol, Protocol::Grpc);
}

#[test]
fn headers_are_decoded_and_never_shown() {
    let config = quiet(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20hidden, x-team = a%2Cb"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-other=hidden"),
    ]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(config.traces.headers.0, [pair("authorization", "Bearer hidden"), pair("x-team", "a,b")]);
    assert_eq!(config.logs.headers.0, [pair("x-other", "hidden")]);
    assert!(!format!("{config:?}").contains("hidden"), "{config:?}");
    for wrong in ["hidden", "a b=hidden", "=hidden", "x=hidden%0A"] {
        let config = warned("OTEL_EXPORTER_OTLP_HEADERS", wrong);
        assert!(config.traces.headers.0.is_empty() && !config.warnings[0].contains("hidden"));
    }
}

#[test]
fn an_endpoint_with_a_password_is_not_shown() {
    let config = quiet(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hidden@collector:4317")]);
    assert!(!format!("{config:?}").contains("hidden"), "{config:?}");
}

#[test]
fn requests_are_compressed_with_gzip_or_not_at_all() {
    assert_eq!(quiet(&[]).traces.compression, Compression::None);
    assert_eq!(quiet(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP")]).logs.compression, Compression::Gzip);
    let one = quiet(&[
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
    ]);
    assert_eq!((one.traces.compression, one.metrics.compression), (Compression::None, Compression::Gzip));
    assert_eq!(warned("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd").traces.compression, Compression::None);
}

#[test]
fn certificates_are_named_for_all_signals_or_for_one() {
    let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317");
    let config = quiet(&[
        https,
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/me.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/me.key"),
    ]);
    let identity = Some(("/me.pem".into(), "/me.key".into()));
    assert_eq!(
        config.traces.tls,
        Tls { authorities: Some("/traces.pem".into()), identity: identity.clone() }
    );
    assert_eq!(config.logs.tls, Tls { authorities: Some("/all.pem".into()), identity });
    for (name, value) in
        [("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/me.key"), ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/me.pem")]
    {
        let half = self::config(&[https, (name, value)]);
        assert_eq!((half.traces.tls.identity, half.warnings.len()), (None, 1), "one without the other");
    }
    let plain = warned("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem");
    assert_eq!(plain.traces.tls, Tls::default(), "the endpoint is http://");
}
