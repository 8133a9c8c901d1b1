//! The scenarios, in this order: each starts with the stack as the previous one left it.

mod metrics;
mod sampling;

pub(crate) use metrics::metrics;
pub(crate) use sampling::late_failure;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use e2e::wait::eventually_or;

use crate::engine::{DEADLINE, Stack};
use crate::{jobs, traces};

/// The user id of the image.
const USER: &str = "65532";

/// The stack as documented: telemetry off at first, then on by two variables and one command.
pub(crate) fn jaeger(stack: &mut Stack) {
    stack.compose("--profile observability --profile demo up -d");
    stack.healthy("worker", 1);
    stack.healthy("sink", 1);
    let traces = jobs::send(stack, "off", 2);
    assert!(traces.iter().all(Option::is_none), "traces while telemetry is off: {traces:?}");

    stack.set("OTEL_ENABLED", "true");
    stack.set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://jaeger:4317");
    stack.compose("--profile observability up -d worker");
    stack.healthy("worker", 1);
    let traces = sampled(jobs::send(stack, "on", 3));
    traces::whole(stack, "jaeger", &traces);
}

pub(crate) fn collector(stack: &mut Stack) {
    stack.set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-collector:4317");
    stack.compose("--profile collector --profile demo up -d");
    stack.healthy("worker", 1);
    let traces = sampled(jobs::send(stack, "collected", 8));
    traces::whole(stack, "otel-collector", &traces);

    jobs::put(stack, "bulk", 5, 100);
    jobs::once(&jobs::arrive(stack, "bulk", 100));
}

/// Checks the containers' restrictions in the engine, and that writing to their root fails.
pub(crate) fn closed(stack: &mut Stack) {
    for service in ["worker", "sink"] {
        let container = stack.container(service);
        let inspected = stack.inspect(&container);
        assert_eq!(inspected["HostConfig"]["ReadonlyRootfs"], true, "the root of {service} is read-only");
        assert_eq!(inspected["HostConfig"]["Privileged"], false, "{service} has no privileges");
        let dropped = inspected["HostConfig"]["CapDrop"].to_string().to_uppercase();
        assert!(dropped.contains("ALL"), "{service} drops all capabilities, not {dropped}");
        let copy = ["cp", "Cargo.toml", &format!("{container}:/tried")];
        assert!(!stack.engine_can(&copy), "a file could be put into the root of {service}");
        let users = users(stack, &container);
        assert!(!users.is_empty() && users.iter().all(|user| user == USER), "{service} runs as {users:?}");
    }
    let users = users(stack, &stack.container("redis"));
    assert!(!users.is_empty() && !users.iter().any(|user| user == "0"), "redis runs as {users:?}");
    for label in ["version", "revision", "title", "licenses"] {
        let name = format!("org.opencontainers.image.{label}");
        let value = &stack.inspect(&stack.container("worker"))["Config"]["Labels"][&name];
        assert!(value.as_str().is_some_and(|value| !value.is_empty()), "the image has no label {name}");
    }
}

/// The user ids of a container's processes.
fn users(stack: &Stack, container: &str) -> Vec<String> {
    let text = stack.engine("list the processes", &["top", container, "-eo", "uid,pid"]);
    text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

pub(crate) fn redis_stops(stack: &mut Stack) {
    // More than are in flight at once, so that Redis stops while some wait.
    jobs::put(stack, "redis", 1500, 40);
    in_hand(stack, &stack.container("worker"));
    stack.compose("--profile collector --profile demo stop -t 10 redis");
    let worker = stack.container("worker");
    // The worker reports that it is not ready, and keeps running.
    eventually_or("the worker is not ready without Redis", DEADLINE, || {
        let inspected = stack.inspect(&worker);
        assert_eq!(inspected["State"]["Running"], true, "the worker ended without Redis");
        match &inspected["State"]["Health"]["Status"] {
            status if status == "unhealthy" => Ok(()),
            status => Err(status.to_string()),
        }
    });
    stack.compose("--profile collector --profile demo start redis");
    jobs::arrive(stack, "redis", 40);
    stack.healthy("worker", 1);
}

pub(crate) fn collector_stops(stack: &mut Stack) {
    stack.compose("--profile collector --profile demo stop -t 5 otel-collector");
    jobs::put(stack, "collector", 5, 100);
    jobs::once(&jobs::arrive(stack, "collector", 100));
    stack.compose("--profile collector --profile demo start otel-collector");
    let traces = sampled(jobs::send(stack, "after", 3));
    traces::whole(stack, "otel-collector", &traces);
}

pub(crate) fn share(stack: &mut Stack) {
    stack.compose("--profile collector --profile demo up -d --scale worker=3");
    stack.healthy("worker", 3);
    let before = shares(stack);
    jobs::put(stack, "share", 50, 300);
    jobs::once(&jobs::arrive(stack, "share", 300));
    eventually_or("three workers have taken a tenth each", DEADLINE, || {
        let mut shares = shares(stack);
        for (worker, jobs) in &mut shares {
            *jobs -= before.get(worker).unwrap_or(&0);
        }
        let busy = shares.values().filter(|jobs| **jobs >= 30).count();
        if busy == 3 { Ok(()) } else { Err(format!("{shares:?}")) }
    });
}

/// The number of jobs that each worker has processed, from the receiver's spans.
fn shares(stack: &Stack) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for span in traces::spans(stack, "otel-collector") {
        if span.name == "process default" {
            *shares.entry(span.worker).or_default() += 1;
        }
    }
    shares
}

pub(crate) fn workers_stop(stack: &mut Stack) {
    let workers = stack.containers("worker");
    jobs::put(stack, "killed", 4000, 24);
    in_hand(stack, &workers[0]);
    stack.engine("kill a worker", &["kill", "--signal", "KILL", &workers[0]]);
    jobs::arrive(stack, "killed", 24);

    jobs::put(stack, "stopped", 4000, 24);
    in_hand(stack, &workers[1]);
    let start = Instant::now();
    stack.engine("stop a worker", &["stop", "--time", "30", &workers[1]]);
    let took = start.elapsed().as_secs();
    assert!(took < 28, "the worker needed {took} s to stop, which is too close to 30");
    let state = &stack.inspect(&workers[1])["State"];
    assert_eq!(state["ExitCode"], 0, "the exit code of a worker that was stopped: {state}");
    jobs::once(&jobs::arrive(stack, "stopped", 24));
}

pub(crate) fn lean(stack: &mut Stack) {
    let receiver = stack.container("otel-collector");
    stack.set("POSTRIDER_FEATURES", "lean");
    stack.compose("--profile collector --profile demo up -d --scale worker=1");
    stack.healthy("worker", 1);
    assert_eq!(receiver, stack.container("otel-collector"), "the receiver was not touched");
    let before = workers(stack);
    let traces = jobs::send(stack, "lean", 3);
    assert!(traces.iter().all(Option::is_none), "traces of the lean image: {traces:?}");
    jobs::put(stack, "lean", 5, 100);
    jobs::once(&jobs::arrive(stack, "lean", 100));
    // Not their spans, which may arrive late.
    assert_eq!(workers(stack), before, "the workers that have sent spans, before and after");

    for (image, is_in) in [("postrider:otel", true), ("postrider:lean", false)] {
        assert_eq!(names_opentelemetry(stack, image), is_in, "whether {image} contains OpenTelemetry");
    }
}

/// The workers that have sent spans.
fn workers(stack: &Stack) -> BTreeSet<String> {
    traces::spans(stack, "otel-collector").into_iter().map(|span| span.worker).collect()
}

/// Whether an image's binary contains a crate of OpenTelemetry: panic messages contain source paths.
fn names_opentelemetry(stack: &Stack, image: &str) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let copy = folder.path().join("postrider");
    let container = stack.engine("create a container", &["create", image]).trim().to_owned();
    let from = format!("{container}:/usr/local/bin/postrider");
    let is_copied = stack.engine_can(&["cp", &from, &copy.to_string_lossy()]);
    stack.engine("remove the container", &["rm", &container]);
    assert!(is_copied, "{image} has its program at /usr/local/bin/postrider");
    let bytes = fs::read(&copy).expect("the engine has just written it");
    bytes.windows(13).any(|window| window == b"opentelemetry")
}

pub(crate) fn end(stack: &mut Stack) {
    let output = stack.down();
    assert!(output.status.success(), "`down` failed: {}", String::from_utf8_lossy(&output.stderr));
    let left = stack.leftovers();
    assert!(left.is_empty(), "containers, volumes or networks that are left: {left}");
}

/// Waits until the worker has jobs in flight. Their number depends on its flows, whose limit rises and falls
/// with responses.
fn in_hand(stack: &Stack, worker: &str) {
    eventually_or("the worker has jobs in flight", DEADLINE, || {
        let jobs = jobs::in_hand(stack, worker);
        if jobs > 0 { Ok(()) } else { Err(jobs) }
    });
}

fn sampled(traces: Vec<Option<String>>) -> Vec<String> {
    traces.into_iter().map(|trace| trace.expect("a job that was sent with telemetry has a trace")).collect()
}
