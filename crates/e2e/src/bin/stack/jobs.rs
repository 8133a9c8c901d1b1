//! Enqueues jobs and reads their results from the sink's log and from Redis.

use std::collections::BTreeMap;

use e2e::wait::eventually_or;
use serde_json::Value;

use crate::engine::{DEADLINE, Stack};

pub(crate) const POSTRIDER: &str = "/usr/local/bin/postrider";
const KEY: &str = "postrider:{default}:jobs";

/// Sends jobs with the program in the worker's container, waits for each, and returns their trace ids.
pub(crate) fn send(stack: &Stack, name: &str, count: usize) -> Vec<Option<String>> {
    (0..count)
        .map(|number| {
            let url = format!("http://sink:8080/{name}/{number}");
            let output = stack.exec(
                "worker",
                &[POSTRIDER, "send", "POST", &url, "--data", "x", "--wait", "--json"],
                b"",
            );
            let text = String::from_utf8_lossy(&output.stdout);
            let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| {
                panic!("`postrider send` printed `{text}`, {}", String::from_utf8_lossy(&output.stderr))
            });
            assert_eq!(report["outcome"], "succeeded", "the outcome of {url}: {report}");
            report["trace_id"].as_str().map(str::to_owned)
        })
        .collect()
}

/// Enqueues jobs like any program, with `XADD`. The sink answers after `delay` milliseconds.
pub(crate) fn put(stack: &Stack, name: &str, delay: u32, count: usize) {
    let lines: String = (0..count)
        .map(|number| {
            format!("XADD {KEY} * url http://sink:8080/delay/{delay} label {name}-{number} body x\n")
        })
        .collect();
    let output = stack.exec("redis", &["redis-cli"], lines.as_bytes());
    let entries = String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains('-')).count();
    assert_eq!(entries, count, "entries that Redis acknowledged of {count}: {output:?}");
}

/// The number of a worker's jobs in flight. A consumer's name starts with its host name, which is the
/// container's id.
pub(crate) fn in_hand(stack: &Stack, container: &str) -> usize {
    let text = redis(stack, &format!("XPENDING {KEY} postrider"));
    let lines: Vec<&str> = text.lines().collect();
    let consumer = lines.iter().position(|line| line.starts_with(&container[..12]));
    let count = consumer.and_then(|at| lines.get(at + 1)?.trim().parse().ok());
    count.unwrap_or(0)
}

/// How often the sink received each job that was `put` under this name.
pub(crate) fn received(stack: &Stack, name: &str) -> BTreeMap<usize, usize> {
    let mut received = BTreeMap::new();
    let logs = stack.engine_all(&["logs", &stack.container("sink")]);
    for line in logs.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let number =
            line["label"].as_str().and_then(|id| id.strip_prefix(name)?.strip_prefix('-')?.parse().ok());
        if let Some(number) = number {
            *received.entry(number).or_default() += 1;
        }
    }
    received
}

/// Waits until the sink has received each job and Redis has none left. Returns how often it received them.
pub(crate) fn arrive(stack: &Stack, name: &str, count: usize) -> BTreeMap<usize, usize> {
    eventually_or(&format!("all {count} jobs of `{name}` arrive"), DEADLINE, || {
        let received = received(stack, name);
        if received.len() == count { Ok(received) } else { Err(format!("{} of {count}", received.len())) }
    });
    eventually_or("Redis has no job left", DEADLINE, || {
        let left = ["XLEN {}:jobs", "HLEN {}:waiting", "ZCARD {}:scheduled", "XLEN {}:dead"]
            .map(|command| redis(stack, &command.replace("{}", "postrider:{default}")).trim().to_owned());
        if left.iter().all(|left| left == "0") { Ok(()) } else { Err(left.join(", ")) }
    });
    received(stack, name)
}

/// Fails if a job was sent more than once.
pub(crate) fn once(received: &BTreeMap<usize, usize>) {
    let twice: Vec<_> = received.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "jobs that the sink got more than once, (number, times): {twice:?}");
}

fn redis(stack: &Stack, command: &str) -> String {
    let words: Vec<&str> = std::iter::once("redis-cli").chain(command.split(' ')).collect();
    String::from_utf8_lossy(&stack.exec("redis", &words, b"").stdout).into_owned()
}
