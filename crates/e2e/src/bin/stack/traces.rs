//! The spans of the trace receiver: queried from Jaeger, or read from a file of OTLP in JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use e2e::http_call::exchange;
use e2e::wait::eventually_or;
use serde_json::Value;

use crate::engine::{DEADLINE, Stack};

const ANSWER: Duration = Duration::from_secs(10);

/// The fields of a span that the scenarios need.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) name: String,
    /// The worker that created it: `service.instance.id`.
    pub(crate) worker: String,
}

/// All spans of the receiver. `receiver` is the service that the worker exports to.
pub(crate) fn spans(stack: &Stack, receiver: &str) -> Vec<Span> {
    match std::env::var("POSTRIDER_TRACES_FILE") {
        Ok(file) => from_file(stack, receiver, &file),
        // All traces end in Jaeger, also through the Collector.
        Err(_) => from_jaeger(stack),
    }
}

/// Waits until each of these traces is complete: one span each for publish, process and request.
pub(crate) fn whole(stack: &Stack, receiver: &str, traces: &[String]) {
    let distinct: BTreeSet<_> = traces.iter().collect();
    assert_eq!(distinct.len(), traces.len(), "each job needs its own trace: {traces:?}");
    let expected = ["POST", "process default", "publish default"];
    eventually_or(&format!("{} whole traces at {receiver}", traces.len()), DEADLINE, || {
        let mut names: BTreeMap<&String, Vec<String>> =
            distinct.iter().map(|trace| (*trace, vec![])).collect();
        for span in spans(stack, receiver) {
            if let Some(names) = names.get_mut(&span.trace) {
                names.push(span.name);
            }
        }
        for (trace, names) in &mut names {
            names.retain(|name| expected.contains(&name.as_str()));
            names.sort();
            if names.as_slice() != expected {
                return Err(format!("{trace} has {names:?}"));
            }
        }
        Ok(())
    });
}

fn from_jaeger(stack: &Stack) -> Vec<Span> {
    let port = stack.setting("JAEGER_UI_PORT").parse().expect("we have set it");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let path = "/api/traces?service=postrider&lookback=1h&limit=1500";
    // It may not run yet. It answers in chunks, whose sizes are between the lines of JSON.
    let Ok(answer) = exchange(address, "GET", path, &[], b"", ANSWER) else { return Vec::new() };
    let text = String::from_utf8_lossy(&answer.body);
    let json = unchunked(&text).unwrap_or_else(|| text.into_owned());
    let Ok(answer) = serde_json::from_str::<Value>(&json) else { return Vec::new() };
    let mut spans = Vec::new();
    for trace in list(&answer["data"]) {
        for span in list(&trace["spans"]) {
            let process = &trace["processes"][word(&span["processID"])];
            let tag = list(&process["tags"]).iter().find(|tag| tag["key"] == "service.instance.id");
            spans.push(Span {
                trace: word(&span["traceID"]),
                name: word(&span["operationName"]),
                worker: tag.map(|tag| word(&tag["value"])).unwrap_or_default(),
            });
        }
    }
    spans
}

/// The body of a response with `transfer-encoding: chunked`.
fn unchunked(mut text: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(rest.get(..size)?);
        text = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

fn from_file(stack: &Stack, receiver: &str, file: &str) -> Vec<Span> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let copy = folder.path().join("traces.jsonl");
    let from = format!("{}:{file}", stack.container(receiver));
    // There may be no spans yet.
    if !stack.engine_can(&["cp", &from, &copy.to_string_lossy()]) {
        return Vec::new();
    }
    let text = std::fs::read_to_string(&copy).expect("the engine has just written it");
    // The last line may be incomplete.
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .flat_map(|line| of_line(&line))
        .collect()
}

fn of_line(line: &Value) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource in list(&line["resourceSpans"]) {
        let attributes = list(&resource["resource"]["attributes"]);
        let instance = attributes.iter().find(|attribute| attribute["key"] == "service.instance.id");
        let worker = instance.map(|instance| word(&instance["value"]["stringValue"])).unwrap_or_default();
        for span in list(&resource["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"])) {
            let (trace, name) = (word(&span["traceId"]), word(&span["name"]));
            spans.push(Span { trace, name, worker: worker.clone() });
        }
    }
    spans
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
