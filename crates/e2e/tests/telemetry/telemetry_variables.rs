//! Tests of what the variables of OpenTelemetry change on the wire. What they change in the configuration is tested
//! where that is read.

mod tls;

use std::collections::HashSet;

use e2e::otlp::{Receiver, RequestRecord, Temporality};
use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::DEADLINE;
use e2e::world::World;
use serde_json::json;

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

fn receiver() -> Receiver {
    Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"))
}

/// Enqueues a job, which makes a span, with telemetry on and these variables.
fn send(variables: &[(&str, &str)]) -> Output {
    let (redis, url) = (RedisServer::start(), "http://127.0.0.1:9/");
    let arguments = ["send", "POST", url, "--redis-url", &redis.url(), "--log", "debug"];
    let on = ("OTEL_ENABLED", "true");
    let output = Postrider::run(Build::Otel, &arguments, &[&[on], variables].concat(), DEADLINE);
    assert_eq!(output.code(), 0, "{output:?}");
    output
}

/// [`send`] to a new receiver over gRPC.
fn sent(variables: &[(&str, &str)]) -> (Receiver, Output) {
    let receiver = receiver();
    let endpoint = receiver.grpc_endpoint();
    let output = send(&[&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())], variables].concat());
    (receiver, output)
}

/// Has a worker deliver a job, which makes spans and measurements, with telemetry on and these variables, and returns
/// its log.
fn work(variables: &[(&str, &str)]) -> String {
    let world = World::new(Build::Otel);
    let sink = &world.sink;
    let on = ("OTEL_ENABLED", "true");
    let arguments = ["--log", "debug"];
    let mut worker = world.worker_with(&arguments, &[&[on], variables].concat());
    let queue = world.queue();
    queue.enqueue(&[("url", sink.url("/ok"))]);
    queue.wait_until_drained(DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
    worker.log().join("\n")
}

/// [`work`] with a new receiver over gRPC.
fn worked(variables: &[(&str, &str)]) -> (Receiver, String) {
    let receiver = receiver();
    let endpoint = receiver.grpc_endpoint();
    let log = work(&[&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())], variables].concat());
    (receiver, log)
}

/// A worker that exports to the receiver over gRPC.
fn recording(receiver: &Receiver, redis: &RedisServer, variables: &[(&str, &str)]) -> Postrider {
    let endpoint = receiver.grpc_endpoint();
    let common = [("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    Postrider::ready_worker(Build::Otel, redis, &[], &[&common, variables].concat())
}

/// The requests of one signal.
fn requests(receiver: &Receiver, signal: &str) -> Vec<RequestRecord> {
    let mut requests = receiver.requests_seen();
    let service = format!("/opentelemetry.proto.collector.{}.v1.", signal.trim_end_matches('s'));
    let metrics = format!("/opentelemetry.proto.collector.{signal}.v1.");
    let path = format!("/v1/{signal}");
    requests.retain(|request| {
        request.path == path || request.path.starts_with(&service) || request.path.starts_with(&metrics)
    });
    requests
}

#[test]
fn headers_go_with_each_request_of_their_signal_and_into_no_log() {
    for protocol in PROTOCOLS {
        let receiver = receiver();
        let log = work(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint(protocol)),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20planted-1,x-team=a"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-metrics=planted-2"),
            ("OTEL_LOG_LEVEL", "debug"),
        ]);
        assert!(!log.contains("planted"), "{log}");
        let [traces, metrics] = ["traces", "metrics"].map(|signal| requests(&receiver, signal));
        assert!(!traces.is_empty() && !metrics.is_empty(), "{protocol}: {:?}", receiver.requests_seen());
        for request in &traces {
            assert_eq!(request.headers["authorization"], "Bearer planted-1");
            assert_eq!(request.headers["x-team"], "a");
            assert!(request.headers["user-agent"].starts_with("otel-facade/"));
        }
        for request in &metrics {
            assert_eq!(request.headers["x-metrics"], "planted-2");
            assert!(!request.headers.contains_key("authorization"), "its own go before those of all");
        }
    }
}

#[test]
fn requests_are_compressed_where_that_is_asked_for() {
    for (protocol, header) in [("grpc", "grpc-encoding"), ("http/protobuf", "content-encoding")] {
        let receiver = receiver();
        work(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint(protocol)),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
        ]);
        let encodings = |signal: &str| {
            let requests = requests(&receiver, signal);
            requests.iter().map(|request| request.headers.get(header).cloned()).collect::<HashSet<_>>()
        };
        assert_eq!(encodings("traces"), HashSet::from([Some("gzip".to_owned())]), "{protocol}");
        assert_eq!(encodings("metrics"), HashSet::from([None]), "{protocol}");
        assert!(!receiver.spans().is_empty() && !receiver.metrics().is_empty(), "{protocol}");
    }
}

#[test]
fn each_signal_has_its_own_endpoint_and_protocol() {
    let (one, other) = (receiver(), receiver());
    work(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &one.grpc_endpoint()),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &format!("{}/v1/metrics", other.http_endpoint())),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
    ]);
    assert!(!one.spans().is_empty() && one.metrics().is_empty());
    assert!(other.spans().is_empty() && !other.metrics().is_empty());
    assert_eq!(requests(&other, "metrics")[0].protocol, "http");
}

#[test]
fn an_endpoint_without_a_scheme_is_insecure_only_where_that_is_set() {
    let receiver = receiver();
    let endpoint = receiver.grpc_endpoint().replace("http://", "");
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    let output = send(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    assert!(receiver.spans().is_empty(), "it speaks no TLS");
    assert!(output.stderr.contains("does not speak TLS"), "{}", output.stderr);
    send(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), insecure]);
    assert!(!receiver.spans().is_empty());
}

#[test]
fn a_span_holds_no_more_than_its_limits() {
    let (receiver, _) =
        sent(&[("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"), ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")]);
    let spans = receiver.spans();
    let publish = spans.iter().find(|span| span.name == "publish default").expect("the job was enqueued");
    assert_eq!(publish.attributes.len(), 2, "{publish:#?}");
    assert!(publish.dropped > 0);
    let texts = spans.iter().flat_map(|span| span.attributes.values()).filter_map(serde_json::Value::as_str);
    let texts: Vec<&str> = texts.collect();
    assert!(!texts.is_empty() && texts.iter().all(|text| text.chars().count() <= 3), "{texts:?}");
}

#[test]
fn sums_restart_with_each_export_if_the_temporality_is_delta() {
    for (preference, expected) in [("delta", Temporality::Delta), ("cumulative", Temporality::Cumulative)] {
        let (receiver, _) = worked(&[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)]);
        let metrics = receiver.metrics();
        let duration = metrics.iter().find(|metric| metric.name == "db.client.operation.duration");
        assert_eq!(duration.expect("a command was measured").temporality, expected);
    }
}

#[test]
fn a_sampler_decides_with_or_without_the_parent() {
    let sampled = |variables: &[(&str, &str)], traceparent: &str| {
        let (receiver, redis, sink) = (receiver(), RedisServer::start(), Sink::start());
        let mut worker = recording(&receiver, &redis, variables);
        let queue = Queue::new(&redis, "default");
        queue.enqueue(&[("url", sink.url("/ok")), ("traceparent", traceparent.to_owned())]);
        queue.wait_until_drained(DEADLINE);
        assert_eq!(worker.stop().code(), Some(0));
        let of_job = receiver.spans().into_iter().filter(|span| span.name == "process default");
        of_job.map(|span| span.trace_id).collect::<Vec<_>>()
    };
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let parent = |flags: &str| format!("00-{TRACE}-b7ad6b7169203331-{flags}");
    let sampler = |name| [("OTEL_TRACES_SAMPLER", name)];
    assert_eq!(sampled(&sampler("always_on"), &parent("00")), [TRACE], "regardless of the parent");
    assert_eq!(sampled(&sampler("PARENTBASED_ALWAYS_OFF"), &parent("01")), [TRACE], "as the parent decided");
    assert!(sampled(&sampler("always_off"), &parent("01")).is_empty());
}

#[test]
fn the_random_flag_of_a_producer_goes_on_to_the_destination() {
    let (receiver, redis, sink) = (receiver(), RedisServer::start(), Sink::start());
    let _worker = recording(&receiver, &redis, &[]);
    let fields = [
        ("url", sink.url("/ok")),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03".to_owned()),
        ("tracestate", "a@@b=1,c=2".to_owned()),
    ];
    Queue::new(&redis, "default").enqueue(&fields);
    let request = &sink.wait_for(1, DEADLINE)[0];
    let traceparent = request.header("traceparent").expect("the context goes on");
    assert!(traceparent.ends_with("-03"), "{traceparent}");
    assert_eq!(request.header("tracestate"), Some("a@@b=1,c=2"));
}

#[test]
fn the_resource_names_the_sender_and_its_place() {
    let (receiver, _) = worked(&[
        ("OTEL_SERVICE_NAME", "mailer"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test%2C1,os.type=mine"),
    ]);
    let resource = &receiver.spans()[0].resource;
    assert_eq!(resource["service.name"], json!("mailer"));
    assert_eq!(resource["deployment.environment.name"], json!("test,1"));
    assert_eq!(resource["os.type"], json!("mine"), "the environment goes before what was found out");
    assert_eq!(resource["telemetry.sdk.language"], json!("rust"));
    assert_eq!(resource["process.executable.name"], json!("postrider"));
    for key in ["service.version", "service.instance.id", "host.name", "host.arch", "telemetry.sdk.version"] {
        assert!(resource[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {resource:?}");
    }
    let architecture = resource["host.arch"].as_str().unwrap_or_default();
    assert!(["amd64", "arm64"].contains(&architecture), "a name of the conventions, not {architecture:?}");
    // Both together identify a process.
    assert!(resource["process.pid"].as_i64().is_some_and(|pid| pid > 1));
    let created = resource["process.creation.time"].as_str().unwrap_or_default();
    assert!(created.starts_with("20") && created.contains('T') && created.ends_with('Z'), "{created:?}");
    assert!(!resource.contains_key("process.command_args"), "a command line may hold a password");
    assert_eq!(receiver.metrics()[0].resource, *resource);
}

#[test]
fn a_value_that_cannot_be_used_causes_one_warning_and_harms_no_job() {
    let (_receiver, output) = sent(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10"),
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_CONFIG_FILE", "/etc/otel.yaml"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ]);
    for name in ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_PROPAGATORS", "OTEL_CONFIG_FILE", "OTEL_TRACES_SAMPLER"]
    {
        let lines = output.stderr.lines().filter(|line| line.contains(name));
        assert_eq!(lines.count(), 1, "{name}: {}", output.stderr);
    }
}
