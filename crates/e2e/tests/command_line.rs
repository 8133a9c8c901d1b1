//! Tests of what the command line takes.

use e2e::process::{Build, Postrider};
use e2e::redis::RedisServer;

e2e::in_both_builds!(an_empty_variable_counts_as_unset);

fn an_empty_variable_counts_as_unset(build: Build) {
    let redis = RedisServer::start();
    let empty =
        ["QUEUE", "CONFIG", "CONCURRENCY", "LEASE", "TIMEOUT", "RETRY_CAP", "STRICT_ORDER", "LOG_FORMAT"];
    let names = empty.map(|name| format!("POSTRIDER_{name}"));
    let variables: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let mut worker = Postrider::ready_worker(build, &redis, &[], &variables);
    assert!(worker.log().iter().any(|line| line.contains("default")), "{}", worker.log().join("\n"));
    assert_eq!(worker.stop().code(), Some(0));
}
