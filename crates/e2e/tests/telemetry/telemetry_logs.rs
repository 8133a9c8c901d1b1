//! Tests of log lines: the fields about their job, and the records that a receiver gets.

use e2e::otlp::{LogLine, Receiver};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;
use serde_json::{Value, json};

e2e::in_both_builds!(a_line_about_a_job_names_it, each_attempt_has_a_debug_line, a_text_line_has_it_too,);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn receiver() -> Receiver {
    Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"))
}

/// A job that ends among the dead letters at once, which is logged; returns its job id.
fn dead_letter(redis: &RedisServer, sink: &Sink) -> String {
    let queue = Queue::new(redis, "default");
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let fields = [("url", sink.url("/status/410")), ("label", "order-17".into()), ("traceparent", parent)];
    let job_id = queue.enqueue(&fields);
    queue.wait_until_drained(DEADLINE);
    job_id
}

fn a_line_about_a_job_names_it(build: Build) {
    let (redis, sink, receiver) = (RedisServer::start(), Sink::start(), receiver());
    let endpoint = receiver.grpc_endpoint();
    let variables = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("POSTRIDER_LOG_FORMAT", "json"),
    ];
    let mut worker = Postrider::ready_worker(build, &redis, &[], &variables);
    let job_id = dead_letter(&redis, &sink);
    let line = worker.wait_for_log("job dead-lettered", DEADLINE);
    let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(line["label"], json!("order-17"));
    assert_eq!(line["job_id"], json!(job_id));
    assert_eq!(line["queue"], json!("default"));
    assert_eq!(line["attempt"], json!(1));
    assert_eq!(
        line["flow"],
        json!(sink.url("").trim_start_matches("http://")),
        "the flow is the job's destination"
    );
    assert_eq!(worker.stop().code(), Some(0));
    if build == Build::Lean {
        assert_eq!((&line["trace_id"], &line["span_id"]), (&Value::Null, &Value::Null));
        return;
    }
    let spans = receiver.spans();
    let process = spans.iter().find(|span| span.name == "process default").expect("it was worked on");
    assert_eq!((&line["trace_id"], &line["span_id"]), (&json!(TRACE), &json!(process.span_id)));
    assert!(receiver.logs().is_empty(), "logs are not exported by default");
    let ready = worker.log().into_iter().find(|line| line.contains("worker is ready"));
    let ready: Value = serde_json::from_str(&ready.expect("it was waited for")).expect("a line is an object");
    assert_eq!(ready["label"], Value::Null, "it is about no job");
}

fn each_attempt_has_a_debug_line(build: Build) {
    let world = World::new(build);
    let sink = &world.sink;
    let arguments = ["--log", "info,postrider_worker::delivery=debug", "--log-format", "text"];
    let mut worker = world.worker(&arguments);
    let queue = world.queue();
    queue.enqueue(&[("url", sink.url("/status/503")), ("max_attempts", "2".to_owned())]);
    let line = worker.wait_for_log("attempt failed; the job will be retried", DEADLINE);
    assert!(line.contains("error_type=503") && line.ends_with("attempt=1"), "{line}");
    queue.enqueue(&[("url", sink.url("/ok")), ("label", "order-18".to_owned())]);
    let line = worker.wait_for_log("delivered", DEADLINE);
    assert!(line.contains("status=200") && line.contains("label=order-18"), "{line}");
}

fn a_text_line_has_it_too(build: Build) {
    let world = World::new(build);
    let sink = &world.sink;
    let mut worker = world.worker(&["--log-format", "text"]);
    let job_id = dead_letter(&world.redis, sink);
    let line = worker.wait_for_log("job dead-lettered", DEADLINE);
    assert!(line.contains(&format!("job_id={job_id}")), "{line}");
    assert!(line.contains("label=order-17") && line.ends_with("queue=default attempt=1"), "{line}");
}

/// The log lines that a receiver got of a worker which dead-lettered a job.
fn exported(protocol: &str, filter: &str) -> (Receiver, Vec<LogLine>, String) {
    let (redis, sink, receiver) = (RedisServer::start(), Sink::start(), receiver());
    let endpoint = receiver.endpoint(protocol);
    let variables = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("POSTRIDER_LOG", filter),
    ];
    let mut worker = Postrider::ready_worker(Build::Otel, &redis, &[], &variables);
    let job_id = dead_letter(&redis, &sink);
    worker.wait_for_log("job dead-lettered", DEADLINE);
    eventually_or("the line at the receiver", DEADLINE, || {
        let found = receiver.logs().iter().any(|line| line.body == "job dead-lettered");
        if found { Ok(()) } else { Err("not there") }
    });
    assert_eq!(worker.stop().code(), Some(0));
    let lines = receiver.logs();
    (receiver, lines, job_id)
}

#[test]
fn a_receiver_gets_the_line_in_the_trace_of_its_job() {
    for protocol in ["grpc", "http/protobuf"] {
        let (receiver, lines, job_id) = exported(protocol, "info");
        let spans = receiver.spans();
        let process = spans.iter().find(|span| span.name == "process default").expect("it was worked on");
        let dead_lettered: Vec<_> = lines.iter().filter(|line| line.body == "job dead-lettered").collect();
        let [line] = dead_lettered.as_slice() else { panic!("{lines:#?}") };
        assert_eq!((line.trace_id.as_str(), &line.span_id), (TRACE, &process.span_id));
        assert_eq!(line.severity, "WARN");
        // The same names as in spans.
        assert_eq!(line.attributes["messaging.message.conversation_id"], json!("order-17"));
        assert_eq!(
            line.attributes["messaging.message.conversation_id"],
            process.attributes["messaging.message.conversation_id"]
        );
        assert_eq!(line.attributes["messaging.message.id"], process.attributes["messaging.message.id"]);
        assert_eq!(
            line.attributes["postrider.job.dead_reason"],
            process.attributes["postrider.job.dead_reason"]
        );
        assert!(
            line.attributes["exception.message"].as_str().is_some_and(|text| text.contains("410")),
            "{line:#?}"
        );
        let ready = lines.iter().find(|line| line.body == "worker is ready").expect("it was logged");
        assert_eq!(ready.attributes["messaging.client.id"], process.attributes["messaging.client.id"]);
        assert_eq!(line.attributes["postrider.job.id"], json!(job_id));
        assert_eq!(line.attributes["postrider.job.attempt"], json!(1));
        assert_eq!(line.attributes["messaging.destination.name"], json!("default"));
        assert_eq!(line.resource["service.name"], json!("postrider"));
    }
}

#[test]
fn lines_follow_the_conventions_and_the_exporters_own_lines_are_not_exported() {
    let (receiver, lines, _) = exported("grpc", "trace");
    for line in &lines {
        assert_eq!(line.event_name, "", "{line:#?}");
        for name in line.attributes.keys() {
            assert!(name.contains('.') && !name.starts_with("log."), "{name} has no namespace: {line:#?}");
        }
        let writer = line.scope_name.split("::").next().unwrap_or_default();
        let exporting = ["opentelemetry", "opentelemetry_sdk", "hyper", "hyper_util", "h2", "tonic", "tower"];
        assert!(!exporting.contains(&writer), "{line:#?}");
    }
    // Many exports were made, and none of them logged a line that caused another.
    let requests = receiver.stats().iter().map(|stats| stats.requests).sum::<u64>();
    assert!(requests > 3, "{requests}");
}

#[test]
fn a_log_record_holds_no_more_than_its_limits() {
    let (redis, sink, receiver) = (RedisServer::start(), Sink::start(), receiver());
    let endpoint = receiver.grpc_endpoint();
    let variables = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4"),
    ];
    let mut worker = Postrider::ready_worker(Build::Otel, &redis, &[], &variables);
    dead_letter(&redis, &sink);
    worker.wait_for_log("job dead-lettered", DEADLINE);
    assert_eq!(worker.stop().code(), Some(0));
    let lines = receiver.logs();
    let dead_lettered = lines.iter().find(|line| line.body == "job dead-lettered").expect("it was flushed");
    assert_eq!(dead_lettered.attributes.len(), 2, "{dead_lettered:#?}");
    assert_eq!(
        dead_lettered.dropped, 0,
        "the exporter counts dropped attributes now: document it in docs/telemetry-variables.md"
    );
    let long =
        dead_lettered.attributes.values().filter_map(Value::as_str).filter(|text| text.chars().count() > 4);
    assert_eq!(long.count(), 0, "{dead_lettered:#?}");
    assert!(receiver.spans().is_empty() && receiver.metrics().is_empty());
}
