//! The steps of the demo.

use std::path::PathBuf;
use std::time::Duration;

use e2e::otlp::{Receiver, SpanRecord};
use e2e::process::{Build, Postrider};
use e2e::queue::Queue;
use e2e::redis::RedisServer;
use e2e::sink::{Sink, SinkRequest};
use e2e::wait;

use crate::report::{self, Fate, Story};

const QUEUE: &str = "default";
const SEND_DEADLINE: Duration = Duration::from_secs(10);
const FATE_DEADLINE: Duration = Duration::from_secs(30);
const SPANS_DEADLINE: Duration = Duration::from_secs(10);

/// How a job was enqueued.
const BY_SEND: &str = "send";
const BY_XADD: &str = "XADD";

/// An enqueued job.
struct Job {
    name: &'static str,
    path: &'static str,
    enqueued_by: &'static str,
    ticket: String,
    trace_id: Option<String>,
}

/// The running parts, in the order in which they are stopped.
struct Stage {
    worker: Postrider,
    receiver: Receiver,
    sink: Sink,
    redis: RedisServer,
}

pub(crate) fn run() {
    let mut stage = set_up();
    let jobs = enqueue(&stage);
    step("waiting", "until each job is delivered or dead");
    wait_for_fates(&stage, &jobs);
    step("worker", "SIGTERM: it finishes its jobs in flight and exports the rest of its telemetry");
    let status = stage.worker.stop();
    assert!(status.success(), "the worker ended with {status}:\n{}", stage.worker.log().join("\n"));
    let stories = tell(&stage, &jobs);
    print!("{}", report::table(&stories));
    for story in &stories {
        print!("{}", report::trace(story));
    }
    drop(stage);
    println!("Nothing is left running.");
}

fn step(who: &str, what: &str) {
    println!("{who:>9}  {what}");
}

fn set_up() -> Stage {
    println!("Postrider: reliable HTTP jobs from Redis, with a trace for every delivery\n");
    let redis = RedisServer::start();
    step("redis", &format!("private, at {}", redis.url()));
    let sink = Sink::start();
    step("sink", &format!("the destination, at {}", sink.url("/")));
    let receiver = Receiver::start(receiver_program());
    step("receiver", &format!("accepts OTLP over gRPC, at {}", receiver.grpc_endpoint()));
    let endpoint = receiver.grpc_endpoint();
    let environment = telemetry(&endpoint);
    let arguments = ["--retry-base", "200ms"];
    let worker = Postrider::ready_worker(Build::Otel, &redis, &arguments, &environment);
    step("worker", "reads the queue `default`");
    Stage { worker, receiver, sink, redis }
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

fn enqueue(stage: &Stage) -> Vec<Job> {
    let sent =
        [("plain", "/ok"), ("slow", "/slow/300"), ("retried", "/flaky/2/demo"), ("gone", "/status/410")];
    let mut jobs: Vec<Job> = sent.into_iter().map(|(name, path)| send(stage, name, path)).collect();
    let path = "/ok?from=xadd";
    let fields = [("url", stage.sink.url(path)), ("body", r#"{"hello":"from any language"}"#.to_owned())];
    let ticket = Queue::new(&stage.redis, QUEUE).enqueue(&fields);
    step("XADD", &format!("postrider:{{default}}:jobs * url {} body …", stage.sink.url(path)));
    jobs.push(Job { name: "foreign", path, enqueued_by: BY_XADD, ticket, trace_id: None });
    jobs
}

fn send(stage: &Stage, name: &'static str, path: &'static str) -> Job {
    let url = stage.sink.url(path);
    step("send", &format!("POST {url}"));
    let arguments =
        ["send", "POST", &url, "-d", r#"{"hello":1}"#, "--json", "--redis-url", &stage.redis.url()];
    let endpoint = stage.receiver.grpc_endpoint();
    let output = Postrider::run(Build::Otel, &arguments, &telemetry(&endpoint), SEND_DEADLINE);
    assert!(output.status.success(), "postrider send ended with {}: {}", output.status, output.stderr);
    let answer = output.json();
    let ticket = answer["ticket"].as_str().unwrap_or_default().to_owned();
    let trace_id = answer["trace_id"].as_str().map(ToOwned::to_owned);
    Job { name, path, enqueued_by: BY_SEND, ticket, trace_id }
}

fn wait_for_fates(stage: &Stage, jobs: &[Job]) {
    let queue = Queue::new(&stage.redis, QUEUE);
    wait::eventually_or("every job is delivered or dead", FATE_DEADLINE, || {
        let unseen = jobs.iter().find(|job| stage.sink.requests_to(job.path).is_empty());
        let state = match unseen {
            Some(job) => Err(format!("no request to {}", job.path)),
            None => queue.drained(),
        };
        state.map_err(|state| format!("{state}; the worker's log:\n{}", stage.worker.log().join("\n")))
    });
}

/// Combines the data of the sink, Redis and the receiver on each job.
fn tell(stage: &Stage, jobs: &[Job]) -> Vec<Story> {
    let dead = Queue::new(&stage.redis, QUEUE).dead();
    let heard: Vec<(&Job, Vec<SinkRequest>)> =
        jobs.iter().map(|job| (job, stage.sink.requests_to(job.path))).collect();
    let traces: Vec<String> = heard.iter().map(|(job, requests)| trace_id(job, requests)).collect();
    let spans = stage.receiver.wait_for_spans("the spans of every job", SPANS_DEADLINE, |spans| {
        let is_processed =
            |id: &String| spans.iter().any(|span| span.trace_id == *id && span.name.starts_with("process "));
        traces.iter().all(is_processed)
    });
    let story = |((job, requests), trace_id): (&(&Job, Vec<SinkRequest>), String)| {
        let letter = dead.iter().find(|letter| letter.field("_ticket").as_ref() == Some(&job.ticket));
        let spans: Vec<SpanRecord> = spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect();
        Story {
            name: job.name,
            enqueued_by: job.enqueued_by,
            destination: job.path,
            fate: letter.map_or(Fate::Delivered, |letter| Fate::Dead(letter.reason())),
            attempts: requests.len(),
            last_status: last_status(&spans),
            trace_id,
            spans,
        }
    };
    heard.iter().zip(traces.clone()).map(story).collect()
}

/// The trace id that the producer knows, or else the one that the destination received.
fn trace_id(job: &Job, requests: &[SinkRequest]) -> String {
    let from_request = || {
        let traceparent = requests.last()?.header("traceparent")?;
        traceparent.split('-').nth(1).map(ToOwned::to_owned)
    };
    job.trace_id.clone().or_else(from_request).unwrap_or_else(|| panic!("{} has no trace", job.name))
}

fn last_status(spans: &[SpanRecord]) -> Option<String> {
    let answered = spans.iter().filter(|span| span.attributes.contains_key("http.response.status_code"));
    answered.max_by_key(|span| span.end)?.text("http.response.status_code")
}
