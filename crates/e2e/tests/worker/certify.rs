//! The promise under fire: no acknowledged job is lost, each job that is delivered twice has a reason, and nothing of a run
//! stays in Redis.
//!
//! `CERTIFY_SEED` repeats a plan, `CERTIFY_SECONDS` makes it longer; `cargo xtask chaos` does both.

mod traces;

use e2e::certificate::{Run, program_that_skips_settlements};
use e2e::process::{Build, Postrider, Signal};
use e2e::redis::RedisServer;
use serde_json::Value;

use traces::Traces;

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

fn number(report: &Value, name: &str) -> u64 {
    report["account"][name].as_u64().unwrap_or_else(|| panic!("the account has no {name}: {report}"))
}

/// Every promise was kept, and there was something to keep.
fn assert_certified(code: i32, report: &Value) {
    assert_eq!((code, &report["problems"]), (0, &Value::Array(vec![])), "{report:#}");
    assert_eq!(report["certified"], true);
    assert_eq!((number(report, "lost"), number(report, "unexplained")), (0, 0));
    let rate = report["plan"]["rate"].as_u64().expect("the plan has a rate");
    let seconds = report["plan"]["seconds"].as_f64().expect("the plan has a length");
    assert!(number(report, "enqueued") as f64 > rate as f64 * seconds / 2.0, "{report:#}");
    for count in ["acknowledged", "delivered", "callbacks", "ticks", "repeated", "taken_over"] {
        assert!(number(report, count) > 0, "{count}: {report:#}");
    }
    for reason in ["attempts", "final_status"] {
        assert!(report["account"]["dead"][reason].as_u64() > Some(0), "{reason}: {report:#}");
    }
}

#[test]
fn nothing_is_lost_while_workers_and_connections_fail() {
    let mut redis = RedisServer::start_with(&DURABLE);
    let traces = Traces::of_others(&redis);
    let (code, report) = Run::from_env(15).execute(Build::Lean, &mut redis);
    assert_certified(code, &report);
    assert!(report["kills"].as_object().is_some_and(|kills| !kills.is_empty()), "{report:#}");
    traces.assert_unchanged(&redis);
}

#[test]
fn nothing_is_lost_while_redis_dies_too_and_its_scripts_are_flushed() {
    let mut redis = RedisServer::start_with(&DURABLE);
    let traces = Traces::of_others(&redis);
    let run =
        Run { server_fails: true, arguments: vec!["--may-disturb-server".to_owned()], ..Run::from_env(15) };
    let (code, report) = run.execute(Build::Otel, &mut redis);
    assert_certified(code, &report);
    let incidents = report["incidents"].as_array().expect("it is a list");
    let is_of_redis =
        |incident: &Value| incident["what"].as_str().is_some_and(|what| what.starts_with("redis_"));
    assert!(incidents.iter().any(is_of_redis), "the faults of Redis were seen: {incidents:?}");
    traces.assert_unchanged(&redis);
}

/// `CERTIFY_ONE_IN` makes the fault rarer.
#[test]
fn a_worker_that_skips_settlements_is_found() {
    let one_in = std::env::var("CERTIFY_ONE_IN").map_or(20, |text| text.parse().expect("it is a number"));
    let folder = tempfile::tempdir().expect("the folder for temporary files can be written");
    let program = program_that_skips_settlements(folder.path(), one_in);
    let mut redis = RedisServer::start();
    let traces = Traces::of_others(&redis);
    let worker = format!("--worker={}", program.display());
    let arguments = vec![worker, "--rate=160".to_owned(), "--kills-per-second=0.1".to_owned()];
    let (code, report) = Run { arguments, ..Run::from_env(12) }.execute(Build::Lean, &mut redis);
    println!("{:#}", report["account"]);
    assert_eq!((code, &report["certified"]), (1, &Value::Bool(false)), "{report:#}");
    assert!(number(&report, "unexplained") > 0, "{report:#}");
    traces.assert_unchanged(&redis);
}

#[test]
fn a_run_that_is_stopped_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let redis = RedisServer::start();
        let traces = Traces::of_others(&redis);
        let mut certify = Postrider::certify(Build::Lean, &redis.url(), &["--minutes=5"]);
        let workers = traces::wait_for_deliveries(&redis, &certify);
        certify.signal(signal);
        let status = certify.wait_exit(e2e::wait::DEADLINE);
        assert_eq!(status.code(), Some(4), "{}", certify.log().join("\n"));
        assert!(certify.log().join("\n").contains("interrupted"), "{}", certify.log().join("\n"));
        traces::wait_for_end(&workers);
        traces.assert_unchanged(&redis);
    }
}

#[test]
fn what_a_killed_run_has_left_is_removed_by_clean_and_by_the_next_run() {
    let redis = RedisServer::start();
    let traces = Traces::of_others(&redis);
    let clean = || traces::run(&redis, &["--clean"]);
    let killed = || {
        let mut certify = Postrider::certify(Build::Lean, &redis.url(), &["--minutes=5"]);
        let workers = traces::wait_for_deliveries(&redis, &certify);
        certify.kill();
        traces::wait_for_end(&workers);
    };
    killed();
    let alive = clean();
    assert_eq!(alive.code(), 4, "{alive:?}");
    assert!(alive.stderr.contains("is alive on this server"), "{alive:?}");
    traces::make_claim_old(&redis);
    let cleaned = clean();
    assert!(cleaned.code() == 0 && cleaned.stdout.starts_with("removed "), "{cleaned:?}");
    traces.assert_unchanged(&redis);
    killed();
    traces::make_claim_old(&redis);
    let next = traces::run(&redis, &["--minutes=0.1", "--rate=20"]);
    assert_eq!(next.code(), 0, "{next:?}");
    traces.assert_unchanged(&redis);
}

#[test]
fn a_server_on_which_a_run_could_do_harm_is_refused() {
    let refused = |redis: &RedisServer, part: &str| {
        let traces = Traces::of_others(redis);
        let output = traces::run(redis, &["--minutes=10"]);
        assert!(output.code() == 4 && output.stderr.contains(part), "{part}: {output:?}");
        traces.assert_unchanged(redis);
    };
    let redis = RedisServer::start();
    redis.command(&["SET", "postrider:{certify-mine}:jobs", "x"]);
    refused(&redis, "postrider:{certify-mine}:jobs");
    refused(
        &RedisServer::start_with(&["--maxmemory", "1gb", "--maxmemory-policy", "volatile-lru"]),
        "volatile-lru",
    );
    refused(&RedisServer::start_with(&["--maxmemory", "20mb"]), "raise maxmemory");
    let master = RedisServer::start();
    let replica = RedisServer::start();
    replica.command(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    let output = traces::run(&replica, &["--minutes=1"]);
    assert!(output.code() == 4 && output.stderr.contains("replica"), "{output:?}");
}
