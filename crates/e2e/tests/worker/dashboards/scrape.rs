//! The series that Prometheus scrapes from a new worker, and from one that waits for jobs.

use std::net::SocketAddr;

use e2e::http_call::exchange;
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::{DEADLINE, eventually_or};

/// A worker of two queues that serves its metrics, and the address.
fn worker(redis: &RedisServer) -> (Postrider, SocketAddr) {
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        // Nothing listens on this port.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let arguments = ["--listen=127.0.0.1:0", "--queue=default", "--queue=mail"];
    let mut worker = Postrider::ready_worker(Build::Otel, redis, &arguments, &environment);
    let line = worker.wait_for_log("status listens on http://", DEADLINE);
    let (_, address) = line.split_once("http://").expect("the line was looked for");
    let address = address.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
    (worker, address)
}

/// The samples: a metric's name, its labels as they are written, its value.
fn scrape(address: SocketAddr) -> Result<Vec<(String, String, f64)>, String> {
    let answer =
        exchange(address, "GET", "/metrics", &[], b"", DEADLINE).map_err(|error| error.to_string())?;
    let text = String::from_utf8(answer.body).map_err(|error| error.to_string())?;
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some((name.to_owned(), labels.to_owned(), value.parse().ok()?))
    };
    Ok(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
}

/// The value of the one series of this name that has these labels.
fn value(samples: &[(String, String, f64)], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let mut found = samples.iter().filter(|(own, text, _)| {
        let own_labels: Vec<&str> = text.trim_end_matches('}').split(',').collect();
        own == name && labels.iter().all(|label| own_labels.contains(&label.as_str()))
    });
    let value = found.next().map(|(_, _, value)| *value);
    assert!(found.next().is_none(), "{name} with {labels:?} is several series: {samples:#?}");
    value
}

const QUEUE: &str = "messaging_destination_name";

/// Every series that counts what happens seldom, of one queue.
fn of_a_queue(queue: &'static str) -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let mut series: Vec<(&str, Vec<(&str, &str)>)> = [
        "postrider_job_retries_total",
        "postrider_job_reclaimed_total",
        "postrider_job_leases_lost_total",
        "postrider_job_settlements_refused_total",
        "postrider_job_holds_total",
        "postrider_flow_breaker_trips_total",
    ]
    .map(|name| (name, vec![(QUEUE, queue)]))
    .into();
    for reason in ["malformed", "version", "refused", "final_status", "attempts", "expired", "poison"] {
        series
            .push(("postrider_job_dead_total", vec![(QUEUE, queue), ("postrider_job_dead_reason", reason)]));
    }
    for operation in ["receive", "claim"] {
        let labels = vec![(QUEUE, queue), ("messaging_operation_name", operation)];
        series.push(("messaging_client_consumed_messages_total", labels));
    }
    series.extend(attempts(queue));
    series
}

fn attempts(queue: &'static str) -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let failures = ["retry", "handed_back", "dead"]
        .into_iter()
        .flat_map(|outcome| ["none", "3xx", "4xx", "5xx"].map(|class| (outcome, class)));
    failures
        .chain([("succeeded", "2xx")])
        .map(|(outcome, class)| {
            let labels = vec![
                (QUEUE, queue),
                ("postrider_job_outcome", outcome),
                ("postrider_response_status_class", class),
            ];
            ("postrider_job_attempts_total", labels)
        })
        .collect()
}

/// Of telemetry itself.
fn of_telemetry() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let mut series = vec![];
    for (dropped, exported) in [
        ("otel_sdk_processor_span_processed_total", "otel_sdk_exporter_span_exported_total"),
        ("otel_sdk_processor_log_processed_total", "otel_sdk_exporter_log_exported_total"),
    ] {
        series.push((dropped, vec![("error_type", "queue_full")]));
        series.push((exported, vec![("error_type", "rejected")]));
    }
    series
}

#[test]
fn rare_counters_start_at_zero() {
    let redis = RedisServer::start();
    let (_worker, address) = worker(&redis);
    let expected: Vec<_> =
        ["default", "mail"].into_iter().flat_map(of_a_queue).chain(of_telemetry()).collect();
    eventually_or("a 0 of each counter", DEADLINE, || {
        let samples = scrape(address)?;
        let lacking = expected.iter().filter(|(name, labels)| value(&samples, name, labels) != Some(0.0));
        let lacking: Vec<_> = lacking.collect();
        if lacking.is_empty() { Ok(()) } else { Err(format!("{lacking:#?}")) }
    });
    // Spans and lines were not delivered, but the series of other failures starts at zero, too.
    for signal in ["span", "log"] {
        let name = format!("otel_sdk_exporter_{signal}_exported_total");
        let samples = scrape(address).expect("it was scraped before");
        assert!(value(&samples, &name, &[("error_type", "_OTHER")]).is_some(), "{samples:#?}");
    }
    // The series of the alert on absent workers.
    let samples = scrape(address).expect("it was scraped before");
    assert!(value(&samples, "process_uptime_seconds", &[("otel_scope_name", "postrider")]).is_some());
}

#[test]
fn the_wait_of_a_read_is_not_a_duration_of_redis() {
    let (redis, sink) = (RedisServer::start(), Sink::start());
    let (_worker, address) = worker(&redis);
    // Both queues have a waiting read, so a waiting read fetches the job.
    eventually_or("two reads that wait", DEADLINE, || {
        let info = redis.command(&["INFO", "clients"]).text();
        if info.lines().any(|line| line.trim() == "blocked_clients:2") { Ok(()) } else { Err(info) }
    });
    Queue::new(&redis, "default").enqueue(&[("url", sink.url("/ok"))]);
    let received = [(QUEUE, "default"), ("messaging_operation_name", "receive")];
    eventually_or("a job that was received and done", DEADLINE, || {
        let samples = scrape(address)?;
        let taken = value(&samples, "messaging_client_consumed_messages_total", &received);
        let done = value(&samples, "postrider_job_end_to_end_duration_seconds_count", &[(QUEUE, "default")]);
        if (taken, done) == (Some(1.0), Some(1.0)) { Ok(()) } else { Err(format!("{samples:#?}")) }
    });
    let samples = scrape(address).expect("it was scraped before");
    let calls = "db_client_operation_duration_seconds_count";
    assert_eq!(value(&samples, calls, &[("db_operation_name", "XREADGROUP")]), None, "{samples:#?}");
    let is_measured = samples.iter().any(|(name, _, calls_made)| name == calls && *calls_made > 0.0);
    assert!(is_measured, "or the above would prove nothing: {samples:#?}");
}
