//! Tests of the commands that inspect queues and move single jobs by hand: each moves a job exactly once, and no
//! accident loses a job.

mod command_line;
mod completions;
mod dead_letters;
mod find;
mod flows;
mod jobs;
mod look;
mod mistakes;
mod pauses;

use e2e::process::{Build, Output, Postrider};
use e2e::redis::RedisServer;
use e2e::wait::DEADLINE;
use serde_json::Value;

/// Nothing listens on this port.
const NOWHERE: &str = "http://127.0.0.1:9/x";

fn run(build: Build, redis: &RedisServer, arguments: &[&str]) -> Output {
    Postrider::run(build, arguments, &[("POSTRIDER_REDIS_URL", &redis.url())], DEADLINE)
}

/// The exit code, and the JSON document.
fn document(build: Build, redis: &RedisServer, arguments: &[&str]) -> (i32, Value) {
    let output = run(build, redis, &[arguments, &["--json"]].concat());
    (output.code(), output.json())
}

/// One JSON object a line.
fn lines(build: Build, redis: &RedisServer, arguments: &[&str]) -> Vec<Value> {
    let output = run(build, redis, &[arguments, &["--json"]].concat());
    assert_eq!(output.code(), 0, "{output:?}");
    output.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

fn outcome(answer: &Value) -> &str {
    answer["jobs"][0]["outcome"].as_str().unwrap_or_default()
}
