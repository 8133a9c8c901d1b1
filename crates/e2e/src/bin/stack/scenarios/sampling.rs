//! Checks which traces the Collector keeps when it keeps no share of successful ones.

use e2e::wait::eventually_or;
use serde_json::Value;

use super::sampled;
use crate::engine::{DEADLINE, Stack};
use crate::jobs::{self, POSTRIDER};
use crate::traces;

/// After the decision on the job's trace, which is 10 s after its first span.
const LATER: &str = "15s";

pub(crate) fn late_failure(stack: &mut Stack) {
    if std::env::var_os("POSTRIDER_TRACES_FILE").is_some() {
        eprintln!("test-stack: skipped: the replacement of the Collector does not sample");
        return;
    }
    stack.set("TRACES_KEPT_PERCENT", "0");
    stack.compose("--profile collector --profile demo up -d");
    stack.healthy("worker", 1);
    let good = sampled(jobs::send(stack, "dropped", 2));
    let failed = fail(stack);
    let mut spans = Vec::new();
    eventually_or("the failed request is kept", DEADLINE, || {
        spans = traces::spans(stack, "otel-collector");
        let requests = spans.iter().filter(|span| span.trace == failed && span.name == "POST").count();
        if requests == 1 { Ok(()) } else { Err(format!("{requests} spans of it")) }
    });
    let kept: Vec<_> = spans.iter().filter(|span| good.contains(&span.trace)).collect();
    assert!(kept.is_empty(), "successful traces are not kept: {kept:?}");
    stack.set("TRACES_KEPT_PERCENT", "100");
    stack.compose("--profile collector --profile demo up -d");
    stack.healthy("worker", 1);
}

/// Sends a job that waits and then fails with a final status. Returns its trace id.
fn fail(stack: &Stack) -> String {
    let url = "http://sink:8080/status/410";
    let send = [POSTRIDER, "send", "POST", url, "--data", "x", "--in", LATER, "--wait", "--json"];
    let output = stack.exec("worker", &send, b"");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("`postrider send` printed {}", String::from_utf8_lossy(&output.stdout)));
    assert_eq!(report["outcome"], "dead", "the outcome of a job for {url}: {report}");
    // The scenarios after this one expect a queue without dead letters.
    let purge = stack.exec("worker", &[POSTRIDER, "dead", "purge", "--all", "--yes"], b"");
    assert!(purge.status.success(), "`dead purge` ended with {}", purge.status);
    report["trace_id"].as_str().expect("a job that was sent with telemetry has a trace").to_owned()
}
