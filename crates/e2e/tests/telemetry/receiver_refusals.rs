//! Tests of log lines about a receiver that refuses: one line for each change, and no harm to jobs.

use std::time::Duration;

use e2e::otlp::{Mode, Receiver};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::{DEADLINE, eventually_or};
use serde_json::json;

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];
/// In milliseconds. Long enough for an export that succeeds on a busy machine.
const SHORT_TIMEOUT: &str = "1000";
const WITH_LOGS: (&str, &str) = ("OTEL_LOGS_EXPORTER", "otlp");

struct Stage {
    worker: Postrider,
    receiver: Receiver,
    sink: Sink,
    redis: RedisServer,
}

impl Stage {
    /// Exports are frequent, and so are the changes between them.
    fn start(protocol: &str, mode: Mode, variables: &[(&str, &str)]) -> Stage {
        let (redis, sink) = (RedisServer::start(), Sink::start());
        let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
        receiver.set_mode(mode);
        let endpoint = receiver.endpoint(protocol);
        let common = [
            ("OTEL_ENABLED", "true"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ];
        let worker = Postrider::ready_worker(Build::Otel, &redis, &[], &[&common[..], variables].concat());
        Stage { worker, receiver, sink, redis }
    }

    fn run_jobs(&self, count: usize) {
        let queue = Queue::new(&self.redis, "default");
        for _ in 0..count {
            queue.enqueue(&[("url", self.sink.url("/ok"))]);
        }
        queue.wait_until_drained(DEADLINE);
    }

    fn requests(&self, signal: &str) -> u64 {
        let stats = self.receiver.stats().into_iter().filter(|stats| stats.signal == signal);
        stats.map(|stats| stats.requests).sum()
    }

    /// Runs jobs until this signal was sent again, with or without success. One job may not suffice: with a short
    /// timeout on a busy machine, an export ends before it reaches the receiver.
    fn run_until_export(&self, signal: &str) {
        let before = self.requests(signal);
        eventually_or("an export", DEADLINE, || {
            self.run_jobs(1);
            let now = self.requests(signal);
            if now > before { Ok(()) } else { Err(format!("{now} as before")) }
        });
    }

    /// Runs jobs until the log has a line.
    fn run_until_log(&self, part: &str) {
        eventually_or(part, DEADLINE, || {
            self.run_jobs(1);
            if self.lines(part) > 0 { Ok(()) } else { Err(format!("{:#?}", self.worker.log())) }
        });
    }

    fn lines(&self, part: &str) -> usize {
        self.worker.log().iter().filter(|line| line.contains(part)).count()
    }
}

/// Over gRPC, only the text of the exporter's error shows that the receiver does not know a signal.
#[test]
fn a_signal_that_the_receiver_does_not_know_is_warned_of_once_and_not_sent_again() {
    for protocol in PROTOCOLS {
        for (signal, other) in [("traces", "metrics"), ("metrics", "traces"), ("logs", "traces")] {
            let mut stage = Stage::start(protocol, Mode::Unknown(signal), &[WITH_LOGS]);
            stage.run_jobs(1);
            stage.worker.wait_for_log(&format!("OTEL_{}_EXPORTER=none", signal.to_uppercase()), DEADLINE);
            for _ in 0..3 {
                // Each signal is exported several times in the meantime.
                stage.run_until_export(other);
            }
            assert_eq!(stage.requests(signal), 1, "{protocol}, {signal}");
            assert_eq!(stage.worker.stop().code(), Some(0));
            assert_eq!(stage.requests(signal), 1, "{protocol}, {signal}: nor at the end");
            let warnings = stage.lines(&format!("does not know {signal}"));
            assert_eq!(warnings, 1, "{protocol}: {:#?}", stage.worker.log());
            assert_eq!(stage.lines("not delivered"), 0, "{:#?}", stage.worker.log());
        }
    }
}

#[test]
fn a_receiver_that_asks_for_time_gets_it_and_then_the_spans() {
    for protocol in PROTOCOLS {
        // A whole second, since HTTP knows no less.
        let mut stage = Stage::start(protocol, Mode::Later(Duration::from_secs(1)), &[]);
        stage.run_jobs(1);
        let spans = stage.receiver.wait_for_spans("the spans of a job", DEADLINE, |spans| {
            spans.iter().any(|span| span.name == "process default")
        });
        assert!(!spans.is_empty());
        assert_eq!(stage.worker.stop().code(), Some(0));
        assert_eq!(stage.lines("not delivered"), 0, "{:#?}", stage.worker.log());
    }
}

/// Partial success is an event of the exporters, whose name and fields differ by signal and protocol.
#[test]
fn a_part_that_is_rejected_is_said_once_with_the_reason_and_counted() {
    for protocol in PROTOCOLS {
        let mut stage = Stage::start(protocol, Mode::Partial(1), &[WITH_LOGS]);
        stage.run_jobs(1);
        for signal in ["traces", "metrics", "logs"] {
            let line = stage.worker.wait_for_log(&format!("takes {signal} in part only"), DEADLINE);
            assert!(
                line.contains("\"rejected\":1") && line.contains("set by the test"),
                "{protocol}: {line}"
            );
        }
        for _ in 0..3 {
            stage.run_until_export("traces");
        }
        for exported in ["span", "metric_data_point", "log"] {
            wait_for_count(&stage, &format!("otel.sdk.exporter.{exported}.exported"), "rejected");
        }
        assert_eq!(stage.worker.stop().code(), Some(0));
        for signal in ["traces", "metrics", "logs"] {
            let warnings = stage.lines(&format!("takes {signal} in part only"));
            assert_eq!(warnings, 1, "{protocol}: {:#?}", stage.worker.log());
        }
    }
}

/// Waits until a metric of telemetry itself counts items with that error.
fn wait_for_count(stage: &Stage, name: &str, error: &str) {
    eventually_or(name, DEADLINE, || {
        let metrics = stage.receiver.metrics();
        let mut points =
            metrics.iter().filter(|metric| metric.name == name).flat_map(|metric| &metric.points);
        let of_error = |point: &e2e::otlp::PointRecord| {
            point.attributes.get("error.type") == Some(&json!(error)) && point.value > Some(0.0)
        };
        if points.any(of_error) { Ok(()) } else { Err("no item is counted") }
    });
}

#[test]
fn a_receiver_that_comes_back_is_said_once_as_is_that_it_was_away() {
    for protocol in PROTOCOLS {
        let short = [("OTEL_EXPORTER_OTLP_TIMEOUT", SHORT_TIMEOUT), ("OTEL_METRICS_EXPORTER", "none")];
        let mut stage = Stage::start(protocol, Mode::Refuse, &short);
        for _ in 0..3 {
            stage.run_until_export("traces");
        }
        let line = stage.worker.wait_for_log("traces are not delivered", DEADLINE);
        assert!(line.contains(&stage.receiver.endpoint(protocol)), "{line}");
        stage.receiver.set_mode(Mode::Ok);
        stage.run_until_log("traces are delivered again");
        assert_eq!(stage.worker.stop().code(), Some(0));
        assert_eq!(stage.lines("traces are not delivered"), 1, "{:#?}", stage.worker.log());
        assert_eq!(stage.lines("traces are delivered again"), 1, "{:#?}", stage.worker.log());
    }
}

#[test]
fn a_receiver_that_is_killed_and_started_again_gets_what_comes_later_and_the_count_of_the_rest() {
    for protocol in PROTOCOLS {
        let few = [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", SHORT_TIMEOUT),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "32"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "32"),
        ];
        let mut stage = Stage::start(protocol, Mode::Ok, &few);
        stage.run_until_export("traces");
        stage.receiver.kill();
        // More than the queue holds.
        eventually_or("more spans than there is room for", DEADLINE, || {
            stage.run_jobs(20);
            if stage.lines("spans are dropped") > 0 { Ok(()) } else { Err("none is dropped") }
        });
        for signal in ["traces", "metrics"] {
            stage.worker.wait_for_log(&format!("{signal} are not delivered"), DEADLINE);
        }
        stage.receiver.start_again(env!("CARGO_BIN_EXE_otlp-receiver"));
        // All earlier spans may be lost by now.
        for change in
            ["traces are delivered again", "metrics are delivered again", "no more spans are dropped"]
        {
            stage.run_until_log(change);
        }
        Queue::new(&stage.redis, "default").enqueue(&[("url", stage.sink.url("/ok?later=1"))]);
        stage.receiver.wait_for_spans("a later job's span", DEADLINE, |spans| {
            spans.iter().any(|span| span.text("url.full").is_some_and(|url| url.contains("later")))
        });
        wait_for_count(&stage, "otel.sdk.processor.span.processed", "queue_full");
        assert_eq!(stage.worker.stop().code(), Some(0), "{protocol}");
        let changes = [
            "traces are not delivered",
            "traces are delivered again",
            "metrics are not delivered",
            "metrics are delivered again",
            "spans are dropped",
            "no more spans are dropped",
        ];
        let told = changes.map(|change| stage.lines(change));
        // The last of them contains the one before.
        assert_eq!(told, [1, 1, 1, 1, 2, 1], "{protocol}: {:#?}", stage.worker.log());
    }
}

#[test]
fn what_finds_no_room_is_said_once_and_counted() {
    let few = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let mut stage = Stage::start("grpc", Mode::Ok, &few);
    stage.run_jobs(50);
    wait_for_count(&stage, "otel.sdk.processor.span.processed", "queue_full");
    stage.worker.signal(e2e::process::Signal::SIGTERM);
    assert_eq!(stage.worker.wait_exit(DEADLINE).code(), Some(0));
    assert_eq!(stage.lines("spans are dropped"), 1, "{:#?}", stage.worker.log());
    assert_eq!(stage.lines("traces are not delivered"), 1, "{:#?}", stage.worker.log());
}
