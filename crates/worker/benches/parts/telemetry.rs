//! One span and one measurement in each mode. The receiver accepts all spans and ignores them. A build
//! without telemetry has only the benchmarks named `switched_off`.

use std::collections::HashMap;
use std::hint::black_box;

use telemetry::{Context, Span, SpanKind, Telemetry, semconv};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";

/// The span of an attempt, as `hyper-otel` makes it.
fn attempt(telemetry: &Telemetry, parent: &Context) -> Span {
    telemetry.span(SpanKind::Client, "POST").parent(black_box(parent)).start(|attributes| {
        attributes.set(semconv::HTTP_REQUEST_METHOD, "POST");
        attributes.set(semconv::SERVER_ADDRESS, "example.org");
        attributes.set(semconv::SERVER_PORT, 443_u16);
        attributes.set(semconv::URL_FULL, "https://example.org/hook");
    })
}

#[divan::bench]
fn a_span_switched_off(bencher: divan::Bencher) {
    let (telemetry, parent) = (Telemetry::disabled(), Context::none());
    bencher.bench(|| attempt(black_box(&telemetry), &parent));
}

#[divan::bench]
fn a_measurement_switched_off(bencher: divan::Bencher) {
    let counter = Telemetry::disabled().counter("jobs", "{job}", "Jobs");
    bencher.bench(|| black_box(&counter).add(1, |attributes| attributes.set("a.queue", "default")));
}

#[divan::bench(ignore = !telemetry::COMPILED)]
fn a_span_recorded(bencher: divan::Bencher) {
    attempts_below(bencher, "01");
}

#[divan::bench(ignore = !telemetry::COMPILED)]
fn a_span_under_a_parent_that_is_not_sampled(bencher: divan::Bencher) {
    attempts_below(bencher, "00");
}

/// Records spans below a job's context with these flags.
fn attempts_below(bencher: divan::Bencher, flags: &str) {
    let running = recording::start();
    let telemetry = running.handle();
    let parent = telemetry.extract(&HashMap::from([("traceparent".to_owned(), format!("{PARENT}{flags}"))]));
    bencher.bench(|| attempt(&telemetry, &parent));
}

#[divan::bench(ignore = !telemetry::COMPILED)]
fn a_measurement_with_attributes(bencher: divan::Bencher) {
    let running = recording::start();
    let counter = running.handle().counter("jobs", "{job}", "Jobs");
    bencher.bench(|| counter.add(1, |attributes| attributes.set("a.queue", "default")));
}

#[divan::bench(ignore = !telemetry::COMPILED)]
fn a_measurement_that_is_bound(bencher: divan::Bencher) {
    let running = recording::start();
    let counter = running.handle().counter("jobs", "{job}", "Jobs");
    let bound = counter.bind(|attributes| attributes.set("a.queue", "default"));
    bencher.bench(|| bound.add(1));
}

/// Starts telemetry with an exporter.
mod recording {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    use telemetry::{Config, Running};

    pub(super) fn start() -> Running {
        let endpoint = format!("http://{}", null_receiver());
        let config = Config::from_lookup(|name| match name {
            "OTEL_ENABLED" => Some("true".to_owned()),
            "OTEL_EXPORTER_OTLP_PROTOCOL" => Some("http/protobuf".to_owned()),
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            // Large enough to drop nothing: dropping would change the measurement.
            "OTEL_BSP_MAX_QUEUE_SIZE" => Some("1000000".to_owned()),
            _ => None,
        });
        telemetry::start(config).expect("the configuration is valid")
    }

    /// Accepts all requests until the process ends.
    fn null_receiver() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of the loopback is free");
        let address = listener.local_addr().expect("a listener has an address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || take_all(stream));
            }
        });
        address
    }

    fn take_all(mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line)? > 0 {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if lower == "\r\n" {
                std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
            }
            line.clear();
        }
        Ok(())
    }
}
