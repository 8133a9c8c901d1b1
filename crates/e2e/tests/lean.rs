//! Tests that telemetry changes what is recorded and nothing else.

use std::time::Duration;

use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::{RawSink, Sink};
use e2e::text_file::TextFile;

e2e::in_both_builds!(
    a_trace_context_passes_through_untouched,
    context_is_sent_to_whom_the_policy_names,
    a_flag_goes_before_the_file_of_whom_context_is_sent_to,
);

const SOON: Duration = Duration::from_secs(30);

/// The requests of the same jobs, one after the other, without what is another's in each run: the ticket, the time
/// of a signature and what comes of it, and the context.
fn requests_of(build: Build, recording: &[(&str, &str)]) -> Vec<String> {
    const CONTEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (sink, redis) = (RawSink::start(), RedisServer::start());
    let config = TextFile::new("[secrets.acme]\nkeys = [{ env = \"ACME_KEY\" }]\n");
    let key = format!("whsec_{}", "QUJD".repeat(8));
    let environment = [recording, &[("ACME_KEY", key.as_str())]].concat();
    let _worker = Postrider::ready_worker(build, &redis, &["--config", config.path()], &environment);
    let queue = Queue::new(&redis, "default");
    let url = sink.url("/path?query=1");
    let jobs: [&[(&str, &str)]; 6] = [
        &[("id", "order-1"), ("headers", r#"{"X-Case":"Value","x-two":["a","b"]}"#), ("body", "hello")],
        &[("method", "GET")],
        &[("traceparent", CONTEXT), ("tracestate", "a=b"), ("baggage", "c=d"), ("body", "{}")],
        &[("delay_ms", "20"), ("body", "late")],
        &[("secret", "acme"), ("body", "signed")],
        &[("result_ttl_ms", "1000"), ("flow", "orders"), ("timeout_ms", "5000"), ("body", "kept")],
    ];
    let mut requests = Vec::new();
    for (number, fields) in jobs.iter().enumerate() {
        let ticket = queue.enqueue(&[&[("url", url.as_str())], *fields].concat());
        let all = sink.wait_for(number + 1, SOON);
        queue.wait_until_drained(SOON);
        let request = String::from_utf8_lossy(&all[number]).replace(&ticket, "TICKET");
        requests.push(masked(&request.replace(&sink.address().port().to_string(), "PORT")));
    }
    requests
}

/// Without the lines that tell a run from another.
fn masked(request: &str) -> String {
    let own = ["traceparent:", "tracestate:", "baggage:", "webhook-timestamp:", "webhook-signature:"];
    let lines = request.split_inclusive("\r\n");
    lines.filter(|line| !own.iter().any(|name| line.to_ascii_lowercase().starts_with(name))).collect()
}

/// Not compiled in, switched off, and recording everything: not a byte of a request differs but the context.
#[test]
fn telemetry_changes_no_byte_but_the_context() {
    let [off, on] = RECORDING;
    let lean = requests_of(Build::Lean, off);
    assert_eq!(lean.len(), 6);
    assert!(lean[4].contains("webhook-id: TICKET"), "{}", lean[4]);
    assert_eq!(requests_of(Build::Otel, off), lean);
    assert_eq!(requests_of(Build::Otel, on), lean);
}

fn a_trace_context_passes_through_untouched(build: Build) {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let queue = Queue::new(&redis, "default");
    let _worker = Postrider::ready_worker(build, &redis, &["--retry-base", "50ms"], &[]);
    let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let url = sink.url("/flaky/1/a");
    queue.enqueue(&[("url", url.as_str()), ("traceparent", context), ("tracestate", "a=b,c=d")]);
    for request in sink.wait_for(2, SOON) {
        assert_eq!(request.header("traceparent"), Some(context));
        assert_eq!(request.header("tracestate"), Some("a=b,c=d"));
    }
}

/// With and without telemetry: a switched-off worker must not tell whom a recording one does not.
const RECORDING: [&[(&str, &str)]; 2] =
    [&[], &[("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]];

/// Which of `traceparent`, `tracestate` and `baggage` come to 127.0.0.1 and to localhost.
fn context_sent(
    build: Build,
    policy: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> [[bool; 3]; 2] {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let config = TextFile::new(policy);
    let arguments = [&["--config", config.path()], arguments].concat();
    let _worker = Postrider::ready_worker(build, &redis, &arguments, environment);
    let queue = Queue::new(&redis, "default");
    let hosts = ["127.0.0.1", "localhost"];
    for host in hosts {
        let url = format!("http://{host}:{}/{host}", sink.address().port());
        let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let job =
            [("url", url.as_str()), ("traceparent", context), ("tracestate", "a=b"), ("baggage", "c=d")];
        queue.enqueue(&job);
    }
    sink.wait_for(2, SOON);
    hosts.map(|host| {
        let requests = sink.requests_to(&format!("/{host}"));
        ["traceparent", "tracestate", "baggage"].map(|name| requests[0].header(name).is_some())
    })
}

fn context_is_sent_to_whom_the_policy_names(build: Build) {
    let listed =
        "[propagation]\ntraces_to = [\"127.0.0.1\", \"*.localhost\"]\nbaggage_to = [\"localhost\"]\n";
    for environment in RECORDING {
        let sent = |policy| context_sent(build, policy, &[], environment);
        assert_eq!(sent(""), [[true, true, false]; 2], "{environment:?}");
        assert_eq!(sent(listed), [[true, true, false], [false, false, true]], "{environment:?}");
        assert_eq!(sent("[propagation]\ntraces_to = \"none\"\n"), [[false; 3]; 2], "{environment:?}");
    }
}

fn a_flag_goes_before_the_file_of_whom_context_is_sent_to(build: Build) {
    let nobody = "[propagation]\ntraces_to = \"none\"\nbaggage_to = [\"a.test\"]\n";
    let flags = ["--traces-to", "localhost", "--baggage-to", "127.0.0.1,b.test"];
    assert_eq!(context_sent(build, nobody, &flags, &[]), [[false, false, true], [true, true, false]]);
    let wrong = ["worker", "--traces-to", "http://a.test"];
    let output = Postrider::run(build, &wrong, &[], SOON);
    assert_eq!(output.code(), 2, "{output:?}");
    assert!(output.stderr.contains("--traces-to: `http://a.test` is no host"), "{output:?}");
}

#[test]
fn the_lean_build_says_once_that_it_has_no_telemetry_and_works() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let environment = [("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")];
    let mut worker = Postrider::ready_worker(Build::Lean, &redis, &[], &environment);
    Queue::new(&redis, "default").enqueue(&[("url", sink.url("/ok"))]);
    assert_eq!(sink.wait_for(1, SOON)[0].header("traceparent"), None);
    assert_eq!(worker.stop().code(), Some(0));
    let log = worker.log();
    let said = log.iter().filter(|line| line.contains("not compiled in")).count();
    assert_eq!(said, 1, "{}", log.join("\n"));
}
