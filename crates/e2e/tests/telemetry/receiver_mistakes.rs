//! Tests that one warning names a wrong port, a wrong scheme or a server that is no receiver, with the remedy.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};

use e2e::otlp::{Mode, Receiver, Tls};
use e2e::process::{Build, Output, Postrider};
use e2e::redis::RedisServer;
use e2e::wait::DEADLINE;

/// Enqueues a job, which makes a span, with telemetry on; returns the one line about traces.
fn warning(protocol: &str, endpoint: &str) -> String {
    let output = send(protocol, endpoint);
    let mut lines = output.stderr.lines().filter(|line| line.contains("traces cannot be delivered"));
    let line = lines.next().unwrap_or_else(|| panic!("{protocol} to {endpoint}: {}", output.stderr));
    assert_eq!(lines.next(), None, "one warning");
    let server = endpoint.trim_end_matches('/');
    assert!(line.contains(&format!("delivered to {server}: ")), "{line}");
    assert!(output.stderr.contains("spans were not delivered"), "they count as lost: {}", output.stderr);
    line.to_owned()
}

fn send(protocol: &str, endpoint: &str) -> Output {
    let (redis, url) = (RedisServer::start(), "http://127.0.0.1:9/");
    let arguments = ["send", "POST", url, "--redis-url", &redis.url()];
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let output = Postrider::run(Build::Otel, &arguments, &environment, DEADLINE);
    assert_eq!(output.code(), 0, "{output:?}");
    output
}

fn receiver() -> Receiver {
    Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"))
}

/// A server that answers the first bytes of each connection with these and closes it. It ends with the test.
fn server_that_answers(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // A client may be gone.
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(bytes);
            // Closing with unread bytes would discard the written ones.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

#[test]
fn grpc_to_a_port_for_http_is_named_with_the_remedy() {
    let remedy = "the receiver speaks HTTP, not gRPC; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf";
    // Knows HTTP/2 as well, and answers 404.
    let receiver = receiver();
    let line = warning("grpc", &receiver.http_endpoint());
    assert!(line.contains(remedy) && line.contains("4317"), "{line}");
    // As servers in Go and nginx do.
    let http1 =
        server_that_answers(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let line = warning("grpc", &format!("http://{http1}"));
    assert!(line.contains(remedy), "{line}");
}

#[test]
fn http_to_a_port_for_grpc_is_named_with_the_remedy() {
    let remedy = "the receiver speaks gRPC, not HTTP; set OTEL_EXPORTER_OTLP_PROTOCOL=grpc";
    // Knows HTTP/1.1 as well, and answers 200 with a status of gRPC.
    let receiver = receiver();
    let line = warning("http/protobuf", &receiver.grpc_endpoint());
    assert!(line.contains(remedy) && line.contains("4318"), "{line}");
    // As servers in Go, Java and C++ do: a frame of settings, whatever comes.
    let http2 = server_that_answers(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0x40, 0]);
    let line = warning("http/protobuf", &format!("http://{http2}"));
    assert!(line.contains(remedy), "{line}");
}

#[test]
fn tls_to_a_plain_port_is_named_with_the_remedy() {
    let receiver = receiver();
    for (protocol, endpoint) in
        [("grpc", receiver.grpc_endpoint()), ("http/protobuf", receiver.http_endpoint())]
    {
        let line = warning(protocol, &endpoint.replace("http://", "https://"));
        assert!(line.contains("does not speak TLS; use http:// in OTEL_EXPORTER_OTLP_ENDPOINT"), "{line}");
    }
}

#[test]
fn a_plain_request_to_a_port_with_tls_is_named_with_the_remedy() {
    let remedy = "the receiver speaks TLS; use https:// in OTEL_EXPORTER_OTLP_ENDPOINT";
    let tls = Tls::new();
    let receiver = Receiver::start_with_tls(env!("CARGO_BIN_EXE_otlp-receiver"), &tls);
    for (protocol, endpoint) in
        [("grpc", receiver.grpc_endpoint()), ("http/protobuf", receiver.http_endpoint())]
    {
        let line = warning(protocol, &endpoint.replace("https://", "http://"));
        assert!(line.contains(remedy), "{line}");
    }
    // As servers in Go do.
    let in_words = server_that_answers(
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    );
    let line = warning("http/protobuf", &format!("http://{in_words}"));
    assert!(line.contains(remedy), "{line}");
}

#[test]
fn a_success_without_an_otlp_response_counts_as_lost() {
    let receiver = receiver();
    receiver.set_mode(Mode::Page);
    let line = warning("http/protobuf", &receiver.http_endpoint());
    assert!(line.contains("not with an OTLP response") && line.contains("counts as lost"), "{line}");
    // Each exporter has its own event for this.
    let (redis, endpoint) = (RedisServer::start(), receiver.http_endpoint());
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    let mut worker = Postrider::ready_worker(Build::Otel, &redis, &[], &environment);
    worker.wait_for_log("metrics cannot be delivered", DEADLINE);
    worker.wait_for_log("logs cannot be delivered", DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
}

#[test]
fn a_mistake_that_shows_after_another_failure_is_named_and_so_is_its_end() {
    let (redis, receiver) = (RedisServer::start(), receiver());
    receiver.set_mode(Mode::Refuse);
    let endpoint = receiver.http_endpoint();
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    let mut worker = Postrider::ready_worker(Build::Otel, &redis, &[], &environment);
    worker.wait_for_log("metrics are not delivered", DEADLINE);
    receiver.set_mode(Mode::Page);
    worker.wait_for_log("metrics cannot be delivered", DEADLINE);
    receiver.set_mode(Mode::Ok);
    worker.wait_for_log("metrics are delivered again", DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
    let changes = ["metrics are not delivered", "metrics cannot be delivered", "metrics are delivered again"];
    let counts = changes.map(|change| worker.log().iter().filter(|line| line.contains(change)).count());
    assert_eq!(counts, [1, 1, 1], "{:#?}", worker.log());
}
