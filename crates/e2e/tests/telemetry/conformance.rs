//! A scenario that touches every span and metric of a worker, and writes log lines, held against tables of the
//! semantic conventions, version 1.44.0.

mod logs;
mod metrics;
mod play;
mod relay;
mod spans;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use e2e::http_call;
use e2e::otlp::{LogLine, MetricRecord, Receiver, SpanRecord};
use e2e::process::{Build, Postrider, Signal};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;

e2e::in_both_builds!(a_worker_shows_its_status_over_http);

/// Processes that export everything to a receiver.
struct ObservedWorld {
    world: World,
    receiver: Receiver,
}

impl ObservedWorld {
    fn start() -> Self {
        let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
        let world = World::new(Build::Otel)
            .with("OTEL_ENABLED", "true")
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.grpc_endpoint())
            .with("OTEL_METRICS_EXPORTER", "otlp,prometheus")
            .with("OTEL_LOGS_EXPORTER", "otlp")
            .with("OTEL_BSP_SCHEDULE_DELAY", "100")
            .with("OTEL_METRIC_EXPORT_INTERVAL", "500")
            // With the log lines about each attempt.
            .with("POSTRIDER_LOG", "info,postrider=debug");
        Self { world, receiver }
    }

    fn worker(&self, arguments: &[&str]) -> Postrider {
        self.world.worker(arguments)
    }

    fn run(&self, arguments: &[&str]) {
        let output = self.world.run(arguments);
        assert_eq!(output.code(), 0, "{arguments:?}: {output:?}");
    }

    fn queue(&self) -> Queue<'_> {
        self.world.queue()
    }

    fn drained(&self) {
        self.queue().wait_until_drained(DEADLINE);
    }

    /// Takes a job out by hand.
    fn remove(&self, entry: &str) {
        let jobs = self.queue().key("jobs");
        self.world.redis.command(&["XACK", &jobs, "postrider", entry]);
        assert_eq!(self.world.redis.command(&["XDEL", &jobs, entry]).integer(), 1, "{entry} is in {jobs}");
    }
}

/// The address in a worker's log line about listening.
fn listens(worker: &mut Postrider) -> SocketAddr {
    let line = worker.wait_for_log("status listens on", DEADLINE);
    let at = line.find("http://").expect("the line has an address") + "http://".len();
    let rest = &line[at..];
    rest[..rest.find('/').expect("the address ends with /")].parse().expect("an address")
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = http_call::exchange(address, "GET", path, &[], b"", DEADLINE).expect("it answers");
    (answer.status, String::from_utf8(answer.body).expect("it answers with text"))
}

/// The operations of a queue that have spans.
const OPERATIONS: [&str; 16] = [
    "publish",
    "create",
    "send",
    "replay",
    "receive",
    "claim",
    "process",
    "ack",
    "retry",
    "hand_back",
    "dead_letter",
    "delay",
    "hold",
    "cancel",
    "run_now",
    "purge",
];

fn faults_of_spans(spans: &[SpanRecord]) -> Vec<String> {
    let of = |span: &SpanRecord| {
        let name = span.name.clone();
        self::spans::faults(span).into_iter().map(move |fault| format!("span {name:?}: {fault}"))
    };
    let is_there = |name: &str| spans.iter().any(|span| span.name == name);
    let missing = OPERATIONS.iter().map(|operation| format!("{operation} default"));
    let missing = missing.filter(|name| !is_there(name)).map(|name| format!("there is no span {name:?}"));
    spans.iter().flat_map(of).chain(missing).collect()
}

fn faults_of_metrics(measured: &[MetricRecord]) -> Vec<String> {
    let of = |metric: &MetricRecord| {
        let name = metric.name.clone();
        metrics::faults(metric).into_iter().map(move |fault| format!("metric {name:?}: {fault}"))
    };
    let is_there =
        |name: &str| measured.iter().any(|metric| metric.name == name && !metric.points.is_empty());
    let missing = metrics::ROWS.iter().map(|row| row.0).filter(|name| !is_there(name));
    let missing = missing.map(|name| format!("the metric {name:?} has no points"));
    measured.iter().flat_map(of).chain(missing).collect()
}

fn faults_of_logs(lines: &[LogLine], spans: &[SpanRecord]) -> Vec<String> {
    let of = |line: &LogLine| {
        let body = line.body.clone();
        logs::faults(line, spans).into_iter().map(move |fault| format!("line {body:?}: {fault}"))
    };
    let is_there = |body: &str| lines.iter().any(|line| line.body == body);
    let missing =
        ["worker is ready", "job dead-lettered", "stopped"].into_iter().filter(|body| !is_there(body));
    let missing = missing.map(|body| format!("there is no line {body:?}"));
    lines.iter().flat_map(of).chain(missing).collect()
}

#[test]
fn everything_that_a_worker_exports_follows_the_conventions() {
    let observed = ObservedWorld::start();
    let text = play::play(&observed);
    let spans = observed.receiver.spans();
    // Each fault once, however many spans have it.
    let mut faults: BTreeSet<String> = faults_of_spans(&spans).into_iter().collect();
    faults.extend(faults_of_metrics(&observed.receiver.metrics()));
    faults.extend(faults_of_logs(&observed.receiver.logs(), &spans));
    assert!(faults.is_empty(), "{faults:#?}");
    check_with_promtool(&text);
}

/// Names of the conventions that Prometheus' naming rules advise against.
const NAMES_BY_CONVENTION: [&str; 2] = ["process_thread_count ", "process_unix_file_descriptor_count "];

/// Checks with Prometheus' own tool, if it is installed.
fn check_with_promtool(text: &str) {
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        eprintln!("promtool is not installed: its check of /metrics is left out");
        return;
    };
    promtool.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let printed = String::from_utf8_lossy(&output.stderr);
    let of_names = "should not have \"_count\" suffix";
    let is_expected = |line: &str| {
        line.ends_with(of_names) && NAMES_BY_CONVENTION.iter().any(|name| line.starts_with(name))
    };
    let complaints: Vec<&str> = printed.lines().filter(|line| !is_expected(line)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}\n{text}");
}

fn a_worker_shows_its_status_over_http(build: Build) {
    let mut world = World::new(build);
    let arguments = ["--listen", "127.0.0.1:0", "--lease", "1s"];
    let mut worker = world.worker(&arguments);
    let address = listens(&mut worker);
    assert_eq!(get(address, "/livez"), (200, "ok\n".to_owned()));
    eventually_or("a worker that is ready", DEADLINE, || match get(address, "/readyz") {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let (status, hint) = get(address, "/metrics");
    let expected = if build == Build::Otel { "OTEL_ENABLED=true" } else { "without telemetry" };
    assert!(status == 404 && hint.contains(expected), "{status} {hint}");
    assert_eq!(get(address, "/").0, 404);

    // A second one cannot have the same port.
    let output = world.run(&["worker", "--listen", &address.to_string()]);
    assert_eq!(output.code(), 4, "{output:?}");

    // While it stops, it lives and is not ready.
    world.queue().enqueue(&[("url", world.sink.url("/slow/2000"))]);
    world.sink.wait_for(1, DEADLINE);
    worker.signal(Signal::SIGTERM);
    eventually_or("a worker that is not ready", DEADLINE, || match get(address, "/readyz") {
        (503, why) if why.starts_with("stopping") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(get(address, "/livez").0, 200);
    assert_eq!(worker.wait_exit(DEADLINE).code(), Some(0));

    let mut worker = world.worker(&arguments);
    let address = listens(&mut worker);
    world.redis.kill();
    eventually_or("a worker without Redis", DEADLINE, || match get(address, "/readyz") {
        (503, why) if why.starts_with("the queue default does not work: Redis") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(get(address, "/livez").0, 200);
}

#[test]
fn one_worker_exports_the_depth_of_a_queue_and_another_takes_over() {
    let redis = RedisServer::start();
    let environment =
        [("OTEL_ENABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "prometheus")];
    let start = || {
        // Of the threads of a worker, only one may be chosen.
        let arguments = ["--lease", "1s", "--listen", "127.0.0.1:0", "--threads", "3"];
        let mut worker = Postrider::ready_worker(Build::Otel, &redis, &arguments, &environment);
        let address = listens(&mut worker);
        (worker, address)
    };
    let mut workers = vec![start(), start()];
    let exports = |address: SocketAddr| get(address, "/metrics").1.contains("postrider_queue_depth{");
    let mut exporting = None;
    eventually_or("exactly one that exports", DEADLINE, || {
        let found: Vec<bool> = workers.iter().map(|(_, address)| exports(*address)).collect();
        exporting = found.iter().position(|exports| *exports);
        if found.iter().filter(|exports| **exports).count() == 1 { Ok(()) } else { Err(format!("{found:?}")) }
    });
    let (mut first, _) = workers.remove(exporting.expect("it was waited for"));
    first.kill();
    let (_, address) = workers[0];
    eventually_or(
        "the other exports",
        DEADLINE,
        || if exports(address) { Ok(()) } else { Err("it does not") },
    );
}
