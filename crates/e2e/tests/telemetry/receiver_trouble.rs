//! Tests that telemetry neither fails, blocks nor slows a job, whatever the receiver does.

use std::time::{Duration, Instant};

use e2e::otlp::{Mode, Receiver};
use e2e::process::{Build, Postrider, Signal};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::Sink;
use e2e::wait::DEADLINE;
use e2e::world::World;

const JOBS: usize = 200;
const SHUTDOWN_TIMEOUT: &str = "5s";
/// The shutdown deadline and what a loaded machine needs on top.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

fn receiver() -> Receiver {
    Receiver::start(env!("CARGO_BIN_EXE_otlp-receiver"))
}

/// Runs `JOBS` jobs with telemetry on and stops the worker; returns how long the jobs took.
fn run_jobs(receiver: &Receiver, protocol: &str) -> Duration {
    let world = World::new(Build::Otel);
    let (queue, sink) = (world.queue(), &world.sink);
    let endpoint = receiver.endpoint(protocol);
    let environment = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "32"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
    ];
    let arguments = ["--shutdown-timeout", SHUTDOWN_TIMEOUT];
    let mut worker = world.worker_with(&arguments, &environment);
    let start = Instant::now();
    for _ in 0..JOBS {
        queue.enqueue(&[("url", sink.url("/ok"))]);
    }
    queue.wait_until_drained(DEADLINE);
    let took = start.elapsed();
    assert_eq!((sink.requests().len(), queue.dead().len()), (JOBS, 0));
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.wait_exit(STOP_DEADLINE).code(), Some(0), "{}", worker.log().join("\n"));
    took
}

/// What the jobs take with a receiver that works, and a wide margin for the machine.
fn fair_time(protocol: &str) -> Duration {
    run_jobs(&receiver(), protocol) * 5 + Duration::from_secs(2)
}

fn jobs_keep_their_pace(protocol: &str, mut receiver: Receiver, trouble: impl FnOnce(&mut Receiver)) {
    let fair = fair_time(protocol);
    trouble(&mut receiver);
    let took = run_jobs(&receiver, protocol);
    assert!(took <= fair, "{took:?} is more than {fair:?}");
}

#[test]
fn a_closed_port_harms_no_job() {
    for protocol in ["grpc", "http/protobuf"] {
        jobs_keep_their_pace(protocol, receiver(), Receiver::kill);
    }
}

#[test]
fn a_refusing_receiver_harms_no_job() {
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = receiver();
        receiver.set_mode(Mode::Refuse);
        jobs_keep_their_pace(protocol, receiver, |_| {});
    }
}

#[test]
fn a_receiver_that_never_answers_harms_no_job() {
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = receiver();
        receiver.set_mode(Mode::Hang);
        jobs_keep_their_pace(protocol, receiver, |_| {});
    }
}

#[test]
fn a_receiver_that_is_stopped_harms_no_job() {
    for protocol in ["grpc", "http/protobuf"] {
        jobs_keep_their_pace(protocol, receiver(), |receiver| receiver.signal(Signal::SIGSTOP));
    }
}

/// How late the receiver starts: within the timeout of the first export.
const LATE: Duration = Duration::from_secs(3);

#[test]
fn a_receiver_that_starts_late_gets_everything() {
    for protocol in ["grpc", "http/protobuf"] {
        let (redis, sink, mut receiver) = (RedisServer::start(), Sink::start(), receiver());
        let queue = Queue::new(&redis, "default");
        // Its ports are known, and closed.
        receiver.kill();
        let endpoint = receiver.endpoint(protocol);
        let environment = [
            ("OTEL_ENABLED", "true"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ];
        let mut worker = Postrider::ready_worker(Build::Otel, &redis, &[], &environment);
        for _ in 0..JOBS {
            queue.enqueue(&[("url", sink.url("/ok"))]);
        }
        queue.wait_until_drained(DEADLINE);
        std::thread::sleep(LATE);
        receiver.start_again(env!("CARGO_BIN_EXE_otlp-receiver"));
        // Some signals pause between two attempts when the worker ends, and still arrive.
        receiver.wait_for_spans("the first spans", DEADLINE, |spans| !spans.is_empty());
        assert_eq!(worker.stop().code(), Some(0), "{protocol}: {}", worker.log().join("\n"));
        let spans = receiver.spans().into_iter().filter(|span| span.name == "process default");
        assert_eq!(spans.count(), JOBS, "{protocol}: {:#?}", worker.log());
        let lines = receiver.logs();
        let is_first = |line: &e2e::otlp::LogLine| line.body.contains("worker is ready");
        assert!(lines.iter().any(is_first), "{protocol}: {lines:#?}, {:#?}", worker.log());
        let lost = worker
            .log()
            .into_iter()
            .filter(|line| line.contains("not delivered") || line.contains("dropped"));
        assert_eq!(lost.collect::<Vec<_>>(), [""; 0], "{protocol}");
    }
}

#[cfg(target_os = "linux")]
mod one_core {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    use super::*;

    /// This thread, and every process that it starts from here on, runs on one core.
    fn stay_on_one_core() {
        let this_thread = Pid::from_raw(0);
        let allowed = sched_getaffinity(this_thread).expect("the kernel reports on which cores it may run");
        let is_allowed = |core: &usize| allowed.is_set(*core).unwrap_or(false);
        let core = (0..CpuSet::count()).find(is_allowed).expect("it may run on one");
        let mut one = CpuSet::new();
        one.set(core).expect("the kernel has named it");
        sched_setaffinity(this_thread, &one).expect("a thread may give up cores");
    }

    #[test]
    fn the_end_of_a_worker_on_one_core_keeps_its_deadline() {
        stay_on_one_core();
        for protocol in ["grpc", "http/protobuf"] {
            // Each asserts that the worker ends in time.
            let mut receiver = receiver();
            receiver.set_mode(Mode::Hang);
            run_jobs(&receiver, protocol);
            receiver.kill();
            run_jobs(&receiver, protocol);
        }
    }
}
