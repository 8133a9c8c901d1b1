//! Tests of telemetry that a program configures in code: the exporters read the environment by themselves, and must not
//! follow it.

use std::process::Command;

use e2e::otlp::{Receiver, RequestRecord, Temporality};
use e2e::wait::DEADLINE;
use telemetry::{Config, Exporter, Headers, Log, LogFormat, Protocol, Signal, SpanKind, Telemetry};

/// In the program under test, where its telemetry goes: the protocol and the endpoint.
const IN_CODE: &str = "POSTRIDER_TEST_IN_CODE";
const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

fn receiver() -> Receiver {
    Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"))
}

fn signal(protocol: &str, endpoint: &str, path: &str) -> Signal {
    let (protocol, endpoint) = match protocol {
        "grpc" => (Protocol::Grpc, endpoint.to_owned()),
        _ => (Protocol::HttpProtobuf, format!("{endpoint}{path}")),
    };
    let mut signal = Config::from_lookup(|_| None).traces;
    signal.exporter = Exporter::Otlp;
    signal.protocol = protocol;
    signal.endpoint = endpoint;
    signal.headers = Headers(vec![("x-in-code".to_owned(), "yes".to_owned())]);
    signal
}

/// A program that has its configuration in code and sends one item of each signal.
fn program(protocol: &str, endpoint: &str) {
    let mut config = Config::from_lookup(|_| None);
    config.enabled = true;
    config.service_name = "in code".to_owned();
    config.traces = signal(protocol, endpoint, "/v1/traces");
    config.metrics = signal(protocol, endpoint, "/v1/metrics");
    config.logs = signal(protocol, endpoint, "/v1/logs");
    config.log = Some(Log::new(LogFormat::Text, "info"));
    end_after(config, |telemetry| {
        drop(telemetry.span(SpanKind::Internal, "in code").start(|attributes| attributes.set("a.b", 1_i64)));
        telemetry.counter("in.code", "{thing}", "Things").add(1, |_| {});
    });
}

fn end_after(config: Config, work: impl FnOnce(&Telemetry)) {
    let running = telemetry::start(config).expect("telemetry starts");
    work(&running.handle());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(running.shutdown(DEADLINE)).expect("all is delivered");
}

/// Runs this test again as another process, with an environment that contradicts the code in everything.
fn run_in_hostile_environment(test: &str, protocol: &str, endpoint: &str, elsewhere: &Receiver) {
    // Below its crate, as the runner of tests names it.
    let test = format!("{}::{test}", module_path!());
    let (_, test) = test.split_once("::").expect("a crate is the first part");
    let other = if protocol == "grpc" { "http/protobuf" } else { "grpc" };
    let there = elsewhere.endpoint(other);
    let mut program = Command::new(std::env::current_exe().expect("a test has a path"));
    program.args(["--exact", test, "--nocapture"]).env(IN_CODE, format!("{protocol} {endpoint}"));
    for signal in ["", "TRACES_", "METRICS_", "LOGS_"] {
        let variables = [
            ("ENDPOINT", there.as_str()),
            ("PROTOCOL", other),
            ("HEADERS", "authorization=planted,x-in-code=no,x-hostile=yes"),
            ("COMPRESSION", "gzip"),
            ("TIMEOUT", "1"),
            ("INSECURE", "false"),
            ("CERTIFICATE", "/nowhere/ca.pem"),
        ];
        for (name, value) in variables {
            program.env(format!("OTEL_EXPORTER_OTLP_{signal}{name}"), value);
        }
    }
    let output = program
        .env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
        .env("OTEL_SDK_DISABLED", "true")
        .env("OTEL_SERVICE_NAME", "hostile")
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .env("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0")
        .env("OTEL_BLRP_MAX_QUEUE_SIZE", "1")
        .output()
        .expect("a test can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
    let warnings = text.lines().filter(|line| line.contains("compressed with gzip")).count();
    assert_eq!(warnings, 3, "one warning for each signal: {text}");
}

fn assert_as_in_code(request: &RequestRecord) {
    assert_eq!(request.headers["x-in-code"], "yes");
    assert!(request.headers["user-agent"].starts_with("otel-facade/"), "{request:?}");
    assert!(!request.headers.contains_key("x-hostile") && !request.headers.contains_key("authorization"));
    // The exporters have no setting for "no compression". Once they do, the warning is not needed.
    let encoding = request.headers.get("grpc-encoding").or(request.headers.get("content-encoding"));
    assert_eq!(encoding.map(String::as_str), Some("gzip"), "{request:?}");
}

#[test]
fn a_configuration_in_code_is_not_changed_by_the_environment() {
    if let Ok(in_code) = std::env::var(IN_CODE) {
        let (protocol, endpoint) = in_code.split_once(' ').expect("there are two parts");
        return program(protocol, endpoint);
    }
    for protocol in PROTOCOLS {
        let (receiver, elsewhere) = (receiver(), receiver());
        let test = "a_configuration_in_code_is_not_changed_by_the_environment";
        run_in_hostile_environment(test, protocol, &receiver.endpoint(protocol), &elsewhere);
        assert_eq!(elsewhere.requests(), 0, "{protocol}");
        let (spans, metrics, logs) = (receiver.spans(), receiver.metrics(), receiver.logs());
        assert_eq!(spans.len(), 1, "{spans:?}");
        assert_eq!(spans[0].text("a.b").as_deref(), Some("1"));
        assert_eq!(spans[0].resource["service.name"], "in code");
        let counter = metrics.iter().find(|metric| metric.name == "in.code").expect("it was counted");
        assert_eq!(counter.temporality, Temporality::Cumulative);
        assert!(logs.iter().any(|line| line.body.contains("compressed with gzip")), "{logs:?}");
        let requests = receiver.requests_seen();
        assert!(requests.len() >= 3, "{requests:?}");
        for request in &requests {
            assert_eq!(request.protocol, if protocol == "grpc" { "grpc" } else { "http" });
            assert_as_in_code(request);
        }
    }
}

/// The receiver takes no request over gRPC above 4 MiB, as real ones do.
#[test]
fn spans_with_huge_attributes_are_split_by_bytes() {
    const SPANS: usize = 40;
    const REQUEST_BYTES_MAX: usize = 4 << 20;
    let huge = "x".repeat(300 << 10);
    for protocol in PROTOCOLS {
        let receiver = receiver();
        let mut config = Config::from_lookup(|_| None);
        config.enabled = true;
        config.traces = signal(protocol, &receiver.endpoint(protocol), "/v1/traces");
        config.metrics.exporter = Exporter::None;
        end_after(config, |telemetry| {
            for _ in 0..SPANS {
                let span = telemetry.span(SpanKind::Internal, "huge");
                drop(span.start(|attributes| attributes.set("a.b", huge.clone())));
            }
        });
        let spans = receiver.spans();
        assert_eq!(spans.len(), SPANS, "{protocol}");
        assert!(spans.iter().all(|span| span.text("a.b").as_ref() == Some(&huge)), "{protocol}");
        let requests = receiver.requests_seen();
        assert!((2..SPANS).contains(&requests.len()), "{protocol}: {} requests", requests.len());
        for length in requests.iter().filter_map(|request| request.headers.get("content-length")) {
            let length: usize = length.parse().expect("it is a number");
            assert!(length < REQUEST_BYTES_MAX, "{length}");
        }
    }
}
