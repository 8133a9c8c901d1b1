//! What both the demo and the picture need: Redis, a destination, a receiver of traces, and a worker.

use std::path::PathBuf;
use std::time::Duration;

use e2e::otlp::Receiver;
use e2e::process::{Build, Postrider};
use e2e::redis::RedisServer;
use e2e::sink::Sink;

const SEND_DEADLINE: Duration = Duration::from_secs(10);

/// What is running, in the order in which it is stopped.
pub(crate) struct Stage {
    pub(crate) worker: Postrider,
    pub(crate) receiver: Receiver,
    pub(crate) sink: Sink,
    pub(crate) redis: RedisServer,
    queue: &'static str,
}

/// Prints a line about a step.
pub(crate) fn step(who: &str, what: &str) {
    println!("{who:>9}  {what}");
}

impl Stage {
    /// Starts everything; the worker reads that queue.
    pub(crate) fn set_up(queue: &'static str, arguments: &[&str]) -> Stage {
        let redis = RedisServer::start();
        step("redis", &format!("private, at {}", redis.url()));
        let sink = Sink::start();
        step("sink", &format!("the destination, at {}", sink.url("/")));
        let receiver = Receiver::start(receiver_program());
        step("receiver", &format!("takes OTLP over gRPC, at {}", receiver.grpc_endpoint()));
        let endpoint = receiver.grpc_endpoint();
        let arguments = [&["--queue", queue], arguments].concat();
        let worker = Postrider::ready_worker(Build::Otel, &redis, &arguments, &telemetry(&endpoint));
        step("worker", &format!("reads the queue `{queue}`"));
        Stage { worker, receiver, sink, redis, queue }
    }

    /// Sends a job with `postrider send`: its job id and its trace.
    pub(crate) fn send(&self, path: &str) -> (String, Option<String>) {
        let url = self.sink.url(path);
        step("send", &format!("POST {url}"));
        let redis = self.redis.url();
        let job = ["send", "POST", &url, "-d", r#"{"hello":1}"#, "--json"];
        let arguments = [&job[..], &["--queue", self.queue, "--redis-url", &redis]].concat();
        let endpoint = self.receiver.grpc_endpoint();
        let output = Postrider::run(Build::Otel, &arguments, &telemetry(&endpoint), SEND_DEADLINE);
        assert!(output.status.success(), "postrider send ended with {}: {}", output.status, output.stderr);
        let answer = output.json();
        let job_id = answer["job_id"].as_str().unwrap_or_default().to_owned();
        (job_id, answer["trace_id"].as_str().map(ToOwned::to_owned))
    }

    /// Stops the worker. All of its telemetry has left then.
    pub(crate) fn stop_worker(&mut self) {
        step("worker", "SIGTERM: it finishes what it holds and sends the rest of its telemetry");
        let status = self.worker.stop();
        assert!(status.success(), "the worker ended with {status}:\n{}", self.worker.log().join("\n"));
    }
}

fn receiver_program() -> PathBuf {
    let own = std::env::current_exe().expect("the demo knows where its program is");
    let program = own.with_file_name("otlp-receiver");
    assert!(program.is_file(), "{} is missing: run `cargo xtask demo`", program.display());
    program
}

fn telemetry(endpoint: &str) -> [(&str, &str); 3] {
    [("OTEL_ENABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "200")]
}
