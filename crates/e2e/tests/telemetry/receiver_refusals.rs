//! Tests of log lines about a receiver that refuses: one line for each change, and no harm to jobs.

use std::time::Duration;

use e2e::otlp::{Mode, Receiver};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::wait::{DEADLINE, eventually_or};
use e2e::world::World;
use serde_json::json;

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];
/// In milliseconds. Long enough for an export that succeeds on a busy machine.
const SHORT_TIMEOUT: &str = "1000";
const WITH_LOGS: (&str, &str) = ("OTEL_LOGS_EXPORTER", "otlp");

/// A worker whose receiver does not take everything.
struct RefusedWorker {
    worker: Postrider,
    receiver: Receiver,
    world: World,
}

impl RefusedWorker {
    /// Exports are frequent, and so are the changes between them.
    fn start(protocol: &str, mode: Mode, variables: &[(&str, &str)]) -> RefusedWorker {
        let world = World::new(Build::Otel);
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
        let worker = world.worker_with(&[], &[&common[..], variables].concat());
        RefusedWorker { worker, receiver, world }
    }

    fn run_jobs(&self, count: usize) {
        let queue = self.world.queue();
        for _ in 0..count {
            queue.enqueue(&[("url", self.world.sink.url("/ok"))]);
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
            let mut refused = RefusedWorker::start(protocol, Mode::Unknown(signal), &[WITH_LOGS]);
            refused.run_jobs(1);
            refused.worker.wait_for_log(&format!("OTEL_{}_EXPORTER=none", signal.to_uppercase()), DEADLINE);
            for _ in 0..3 {
                // Each signal is exported several times in the meantime.
                refused.run_until_export(other);
            }
            assert_eq!(refused.requests(signal), 1, "{protocol}, {signal}");
            assert_eq!(refused.worker.stop().code(), Some(0));
            assert_eq!(refused.requests(signal), 1, "{protocol}, {signal}: nor at the end");
            let warnings = refused.lines(&format!("does not know {signal}"));
            assert_eq!(warnings, 1, "{protocol}: {:#?}", refused.worker.log());
            assert_eq!(refused.lines("not delivered"), 0, "{:#?}", refused.worker.log());
        }
    }
}

#[test]
fn a_receiver_that_asks_for_time_gets_it_and_then_the_spans() {
    for protocol in PROTOCOLS {
        // A whole second, since HTTP knows no less.
        let mut refused = RefusedWorker::start(protocol, Mode::Later(Duration::from_secs(1)), &[]);
        refused.run_jobs(1);
        let spans = refused.receiver.wait_for_spans("the spans of a job", DEADLINE, |spans| {
            spans.iter().any(|span| span.name == "process default")
        });
        assert!(!spans.is_empty());
        assert_eq!(refused.worker.stop().code(), Some(0));
        assert_eq!(refused.lines("not delivered"), 0, "{:#?}", refused.worker.log());
    }
}

/// Partial success is an event of the exporters, whose name and fields differ by signal and protocol.
#[test]
fn a_part_that_is_rejected_is_logged_once_with_the_reason_and_counted() {
    for protocol in PROTOCOLS {
        let mut refused = RefusedWorker::start(protocol, Mode::Partial(1), &[WITH_LOGS]);
        refused.run_jobs(1);
        for signal in ["traces", "metrics", "logs"] {
            let line = refused.worker.wait_for_log(&format!("takes {signal} in part only"), DEADLINE);
            assert!(
                line.contains("\"rejected\":1") && line.contains("set by the test"),
                "{protocol}: {line}"
            );
        }
        for _ in 0..3 {
            refused.run_until_export("traces");
        }
        for exported in ["span", "metric_data_point", "log"] {
            wait_for_count(&refused, &format!("otel.sdk.exporter.{exported}.exported"), "rejected");
        }
        assert_eq!(refused.worker.stop().code(), Some(0));
        for signal in ["traces", "metrics", "logs"] {
            let warnings = refused.lines(&format!("takes {signal} in part only"));
            assert_eq!(warnings, 1, "{protocol}: {:#?}", refused.worker.log());
        }
    }
}

/// Waits until a metric of telemetry itself counts items with that error.
fn wait_for_count(refused: &RefusedWorker, name: &str, error: &str) {
    eventually_or(name, DEADLINE, || {
        let metrics = refused.receiver.metrics();
        let mut points =
            metrics.iter().filter(|metric| metric.name == name).flat_map(|metric| &metric.points);
        let of_error = |point: &e2e::otlp::PointRecord| {
            point.attributes.get("error.type") == Some(&json!(error)) && point.value > Some(0.0)
        };
        if points.any(of_error) { Ok(()) } else { Err("no item is counted") }
    });
}

#[test]
fn a_receiver_that_goes_and_comes_back_is_logged_once_each() {
    for protocol in PROTOCOLS {
        let short = [("OTEL_EXPORTER_OTLP_TIMEOUT", SHORT_TIMEOUT), ("OTEL_METRICS_EXPORTER", "none")];
        let mut refused = RefusedWorker::start(protocol, Mode::Refuse, &short);
        for _ in 0..3 {
            refused.run_until_export("traces");
        }
        let line = refused.worker.wait_for_log("traces are not delivered", DEADLINE);
        assert!(line.contains(&refused.receiver.endpoint(protocol)), "{line}");
        refused.receiver.set_mode(Mode::Ok);
        refused.run_until_log("traces are delivered again");
        assert_eq!(refused.worker.stop().code(), Some(0));
        assert_eq!(refused.lines("traces are not delivered"), 1, "{:#?}", refused.worker.log());
        assert_eq!(refused.lines("traces are delivered again"), 1, "{:#?}", refused.worker.log());
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
        let mut refused = RefusedWorker::start(protocol, Mode::Ok, &few);
        refused.run_until_export("traces");
        refused.receiver.kill();
        // More than the queue holds.
        eventually_or("more spans than there is room for", DEADLINE, || {
            refused.run_jobs(20);
            if refused.lines("spans are dropped") > 0 { Ok(()) } else { Err("none is dropped") }
        });
        for signal in ["traces", "metrics"] {
            refused.worker.wait_for_log(&format!("{signal} are not delivered"), DEADLINE);
        }
        refused.receiver.start_again(env!("CARGO_BIN_EXE_otlp-receiver"));
        // All earlier spans may be lost by now.
        for change in
            ["traces are delivered again", "metrics are delivered again", "no more spans are dropped"]
        {
            refused.run_until_log(change);
        }
        Queue::new(&refused.world.redis, "default")
            .enqueue(&[("url", refused.world.sink.url("/ok?later=1"))]);
        refused.receiver.wait_for_spans("a later job's span", DEADLINE, |spans| {
            spans.iter().any(|span| span.text("url.full").is_some_and(|url| url.contains("later")))
        });
        wait_for_count(&refused, "otel.sdk.processor.span.processed", "queue_full");
        assert_eq!(refused.worker.stop().code(), Some(0), "{protocol}");
        let changes = [
            "traces are not delivered",
            "traces are delivered again",
            "metrics are not delivered",
            "metrics are delivered again",
            "spans are dropped",
            "no more spans are dropped",
        ];
        let counts = changes.map(|change| refused.lines(change));
        // The last of them contains the one before.
        assert_eq!(counts, [1, 1, 1, 1, 2, 1], "{protocol}: {:#?}", refused.worker.log());
    }
}

#[test]
fn what_a_full_queue_drops_is_logged_once_and_counted() {
    let few = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let mut refused = RefusedWorker::start("grpc", Mode::Ok, &few);
    refused.run_jobs(50);
    wait_for_count(&refused, "otel.sdk.processor.span.processed", "queue_full");
    refused.worker.signal(e2e::process::Signal::SIGTERM);
    assert_eq!(refused.worker.wait_exit(DEADLINE).code(), Some(0));
    assert_eq!(refused.lines("spans are dropped"), 1, "{:#?}", refused.worker.log());
    assert_eq!(refused.lines("traces are not delivered"), 1, "{:#?}", refused.worker.log());
}
