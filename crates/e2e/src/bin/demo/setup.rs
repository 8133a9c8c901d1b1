//! What both the demo and the picture need: Redis, a destination, a receiver of traces, and a worker.

use std::path::PathBuf;

use e2e::otlp::Receiver;
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::world::World;

/// What is running, in the order in which it is stopped.
pub(crate) struct Setup {
    pub(crate) worker: Postrider,
    pub(crate) receiver: Receiver,
    pub(crate) world: World,
    queue: &'static str,
}

/// Prints a line about a step.
pub(crate) fn step(who: &str, what: &str) {
    println!("{who:>9}  {what}");
}

impl Setup {
    /// Starts everything; the worker reads that queue.
    pub(crate) fn start(queue: &'static str, arguments: &[&str]) -> Setup {
        let receiver = Receiver::start(receiver_program());
        let world = World::new(Build::Otel)
            .with("POSTRIDER_QUEUE", queue)
            .with("OTEL_ENABLED", "true")
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.grpc_endpoint())
            .with("OTEL_BSP_SCHEDULE_DELAY", "200");
        step("redis", &format!("private, at {}", world.redis.url()));
        step("sink", &format!("the destination, at {}", world.sink.url("/")));
        step("receiver", &format!("takes OTLP over gRPC, at {}", receiver.grpc_endpoint()));
        let worker = world.worker(arguments);
        step("worker", &format!("reads the queue `{queue}`"));
        Setup { worker, receiver, world, queue }
    }

    pub(crate) fn queue(&self) -> Queue<'_> {
        Queue::new(&self.world.redis, self.queue)
    }

    /// Sends a job with `postrider send`: its job id and its trace.
    pub(crate) fn send(&self, path: &str) -> (String, Option<String>) {
        let url = self.world.sink.url(path);
        step("send", &format!("POST {url}"));
        let output = self.world.run(&["send", "POST", &url, "-d", r#"{"hello":1}"#, "--json"]);
        assert!(output.status.success(), "postrider send ended with {}: {}", output.status, output.stderr);
        let answer = output.json();
        let job_id = answer["job_id"].as_str().unwrap_or_default().to_owned();
        (job_id, answer["trace_id"].as_str().map(ToOwned::to_owned))
    }

    /// Stops the worker. All of its telemetry has left then.
    pub(crate) fn stop_worker(&mut self) {
        step("worker", "SIGTERM: finishes its jobs and sends the rest of its telemetry");
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
