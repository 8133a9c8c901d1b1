//! Telemetry of the commands other than `worker`: spans of their changes, and nothing else.

use e2e::otlp::{Mode, Receiver, SpanKind, SpanRecord};
use e2e::process::{Build, Output, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::wait::eventually_or;
use serde_json::json;

use super::{DEADLINE, GRPC, HTTP, environment};

/// Nothing listens on this port.
const NOWHERE: &str = "http://127.0.0.1:9/x";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct ObservedCommands {
    redis: RedisServer,
    receiver: Receiver,
}

impl ObservedCommands {
    fn start() -> ObservedCommands {
        let receiver = Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"));
        ObservedCommands { redis: RedisServer::start(), receiver }
    }

    fn queue(&self) -> Queue<'_> {
        Queue::new(&self.redis, "default")
    }

    fn run(&self, protocol: &str, arguments: &[&str]) -> Output {
        let (endpoint, redis) = (self.receiver.endpoint(protocol), self.redis.url());
        let arguments = [arguments, &["--redis-url", &redis]].concat();
        Postrider::run(Build::Otel, &arguments, &environment(protocol, &endpoint), DEADLINE)
    }

    /// The spans that a command makes, which must succeed.
    fn spans_of(&self, arguments: &[&str]) -> Vec<SpanRecord> {
        let before = self.receiver.spans().len();
        let output = self.run(GRPC, arguments);
        assert_eq!(output.code(), 0, "{arguments:?}: {output:?}");
        self.receiver.spans().split_off(before)
    }

    /// The one span that a command makes, of that name.
    fn span_of(&self, arguments: &[&str], name: &str) -> SpanRecord {
        let mut spans = self.spans_of(arguments);
        assert_eq!(spans.len(), 1, "{arguments:?}: {spans:#?}");
        assert_eq!(spans[0].name, name, "{arguments:?}");
        spans.remove(0)
    }
}

#[test]
fn a_command_that_only_looks_exports_nothing() {
    let commands = ObservedCommands::start();
    let entry = commands.queue().enqueue(&[("url", NOWHERE), ("label", "order-1")]);
    commands.queue().schedule("1795396102000-0", &[("url", NOWHERE), ("label", "order-2")]);
    commands.queue().postpone("127.0.0.1:9", "1795396103000-0", &[("url", NOWHERE)]);
    commands.queue().dead_letter("1795396104000-0", "attempts", NOWHERE);
    for arguments in [
        &["queues"][..],
        &["queues", "--queue", "default"],
        &["flows"],
        &["jobs", "list"],
        &["jobs", "show", &entry],
        &["jobs", "show", "order-2"],
        &["dead", "list"],
        &["dead", "show", "1795396104000-0"],
        &["dead", "replay", "--all", "--dry-run"],
        &["dead", "purge", "--all", "--dry-run"],
    ] {
        let output = commands.run(GRPC, arguments);
        assert_eq!((output.code(), output.stderr.as_str()), (0, ""), "{arguments:?}: {output:?}");
    }
    // Its findings do not matter here.
    commands.run(GRPC, &["doctor"]);
    assert_eq!(commands.receiver.spans(), []);
    assert_eq!(commands.receiver.requests(), 0);
}

#[test]
fn a_command_that_changes_something_makes_one_span_of_it() {
    let commands = ObservedCommands::start();
    let publish = commands.span_of(&["send", NOWHERE], "publish default");
    assert_eq!(publish.kind, SpanKind::Producer);

    let entry = commands.queue().enqueue(&[("url", NOWHERE), ("traceparent", TRACEPARENT)]);
    let cancel = commands.span_of(&["jobs", "cancel", &entry], "cancel default");
    assert_eq!(cancel.trace_id, &TRACEPARENT[3..35], "it is in the job's trace");
    assert_eq!(cancel.parent_span_id.as_deref(), Some("b7ad6b7169203331"));
    assert_eq!(cancel.text("messaging.message.id"), Some(entry));

    commands.queue().schedule("1795396102000-0", &[("url", NOWHERE), ("_traceparent", TRACEPARENT)]);
    let run_now = commands.span_of(&["jobs", "run-now", "1795396102000-0"], "run_now default");
    assert_eq!(run_now.parent_span_id.as_deref(), Some("b7ad6b7169203331"));
    assert_eq!(run_now.text("messaging.message.id").as_deref(), Some("1795396102000-0"));

    commands.queue().schedule("1795396102000-1", &[("url", NOWHERE)]);
    let alone = commands.span_of(&["jobs", "run-now", "1795396102000-1"], "run_now default");
    assert_eq!(alone.parent_span_id, None);

    commands.queue().dead_letter("1795396104000-0", "attempts", NOWHERE);
    commands.span_of(&["dead", "replay", "1795396104000-0"], "replay default");

    commands.queue().dead_letter("1795396104000-1", "expired", NOWHERE);
    commands.queue().dead_letter("1795396104000-2", "expired", NOWHERE);
    let purge = commands.span_of(&["dead", "purge", "--reason", "expired", "--yes"], "purge default");
    assert_eq!(purge.attributes["messaging.batch.message_count"], json!(2));

    let reshard = commands.span_of(&["queues", "shards", "default", "2"], "EVAL reshard");
    assert_eq!(reshard.attributes["db.stored_procedure.name"], json!("reshard"));
}

#[test]
fn jobs_whose_producers_record_nothing_are_moved_without_a_span() {
    let commands = ObservedCommands::start();
    let unsampled = TRACEPARENT.replace("-01", "-00");
    let entry = commands.queue().enqueue(&[("url", NOWHERE), ("traceparent", &unsampled)]);
    assert_eq!(commands.spans_of(&["jobs", "cancel", &entry]), []);
}

#[test]
fn a_receiver_that_takes_spans_alone_is_no_reason_for_a_warning() {
    for protocol in [GRPC, HTTP] {
        let commands = ObservedCommands::start();
        commands.receiver.set_mode(Mode::Unknown("metrics"));
        let output = commands.run(protocol, &["send", NOWHERE]);
        assert_eq!((output.code(), output.stderr.as_str()), (0, ""), "{protocol}: {output:?}");
        assert_eq!(commands.receiver.spans().len(), 1, "{protocol}");
        let signals = commands.receiver.stats().into_iter().filter(|stats| stats.requests > 0);
        assert_eq!(signals.map(|stats| stats.signal).collect::<Vec<_>>(), ["traces"], "{protocol}");
    }
}

#[test]
fn a_receiver_that_takes_no_spans_is_warned_of() {
    let commands = ObservedCommands::start();
    commands.receiver.set_mode(Mode::Unimplemented);
    let output = commands.run(GRPC, &["send", NOWHERE]);
    assert_eq!(output.code(), 0, "{output:?}");
    assert!(output.stderr.contains("does not know traces"), "{output:?}");
    assert!(!output.stderr.contains("metrics"), "{output:?}");
    eventually_or("the job is in", DEADLINE, || {
        if commands.queue().depth() == 1 { Ok(()) } else { Err("it is not") }
    });
}
