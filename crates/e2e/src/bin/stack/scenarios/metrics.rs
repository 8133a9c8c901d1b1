//! Prometheus: its own tool checks its files, and each query of the dashboard must return a result.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use e2e::http_call::exchange;
use e2e::wait::eventually_or;
use serde_json::Value;

use crate::engine::{DEADLINE, Stack};
use crate::jobs;

/// promtool writes its test data to a temporary folder, and the root is read-only.
const TOOL: &str =
    "--profile metrics run --rm -T --no-deps -e TMPDIR=/prometheus --entrypoint promtool prometheus";
/// The panels that show data as soon as one job was delivered.
const SHOWN: [&str; 9] = [
    "Ready",
    "Delivered",
    "Workers",
    "Depth",
    "Attempts by outcome",
    "Work on a job",
    "Requests by destination",
    "Redis calls",
    "Memory",
];

pub(crate) fn metrics(stack: &mut Stack) {
    stack.compose(&format!("{TOOL} check config /etc/prometheus/prometheus.yml"));
    stack.compose(&format!("{TOOL} test rules /etc/prometheus/alerts.test.yml"));

    // The Collector keeps running.
    stack.set("OTEL_METRICS_EXPORTER", "prometheus");
    stack.compose("--profile collector --profile demo up -d worker");
    stack.compose("--profile metrics up -d prometheus");
    stack.healthy("worker", 1);
    // In two parts: a rate needs two scrapes with an increase in between.
    jobs::put(stack, "early", 5, 20);
    jobs::arrive(stack, "early", 20);
    let is_seen =
        || ask(stack, r#"sum(postrider_job_attempts_total) >= 20"#).filter(|answer| !answer.is_empty());
    eventually_or("Prometheus sees the jobs", DEADLINE, || is_seen().ok_or("nothing"));
    jobs::put(stack, "late", 5, 20);
    jobs::arrive(stack, "late", 20);

    let text =
        std::fs::read_to_string("docker/grafana/dashboards/postrider.json").expect("the dashboard is there");
    let dashboard: Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let panels: Vec<_> = dashboard["panels"].as_array().expect("the dashboard has panels").iter().collect();
    for title in SHOWN {
        assert!(panels.iter().any(|panel| panel["title"] == title), "the dashboard has no panel “{title}”");
    }
    for panel in panels {
        let title = panel["title"].as_str().unwrap_or_default();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let question = target["expr"].as_str().expect("a target has a query");
            answered(stack, title, &question.replace("$__rate_interval", "2m").replace("$queue", ".*"));
        }
    }
    stack.set("OTEL_METRICS_EXPORTER", "otlp");
    stack.compose("--profile collector --profile demo up -d worker");
    stack.healthy("worker", 1);
}

/// Waits until Prometheus accepts the query, with data for the panels that must have some.
fn answered(stack: &Stack, title: &str, question: &str) {
    eventually_or(&format!("“{title}”, {question}"), DEADLINE, || match ask(stack, question) {
        None => Err("Prometheus does not answer this"),
        Some(answer) if answer.is_empty() && SHOWN.contains(&title) => Err("nothing to show"),
        Some(_) => Ok(()),
    });
}

/// The current result of a query.
fn ask(stack: &Stack, question: &str) -> Option<Vec<Value>> {
    let port = stack.setting("PROMETHEUS_PORT").parse().expect("we have set it");
    let query: String = question.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/api/v1/query?query={query}");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let answer = exchange(address, "GET", &path, &[], b"", Duration::from_secs(10)).ok()?;
    let answer: Value = serde_json::from_slice(&answer.body).ok()?;
    answer["data"]["result"].as_array().cloned()
}
