//! The steps of the demo.

use std::time::Duration;

use e2e::otlp::SpanRecord;
use e2e::sink::SinkRequest;
use e2e::wait;

use crate::report::{self, Fate, Story};
use crate::setup::{Setup, step};

const QUEUE: &str = "default";
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
    job_id: String,
    trace_id: Option<String>,
}

/// Plays all steps. With `keep`, Redis, the sink and a worker go on until Ctrl-C.
pub(crate) fn run(keep: bool) {
    println!("Postrider: reliable HTTP jobs from Redis, with a trace for every delivery\n");
    let mut setup = Setup::start(QUEUE, &["--retry-base", "200ms"]);
    let jobs = enqueue(&setup);
    step("waiting", "until each job is delivered or dead");
    wait_for_fates(&setup, &jobs);
    setup.stop_worker();
    let stories = stories_of(&setup, &jobs);
    print!("{}", report::table(&stories));
    for story in &stories {
        print!("{}", report::trace(story));
    }
    if keep {
        setup.worker = setup.world.worker(&[]);
        print!("{}", report::commands(&setup.world.redis.url(), &setup.world.sink.url("")));
        loop {
            wait::unless_interrupted(Duration::from_secs(3600));
        }
    }
    drop(setup);
    print!("{}", report::WHAT_NEXT);
}

fn enqueue(setup: &Setup) -> Vec<Job> {
    let sent =
        [("plain", "/ok"), ("slow", "/slow/300"), ("retried", "/flaky/2/demo"), ("gone", "/status/410")];
    let mut jobs: Vec<Job> = sent.into_iter().map(|(name, path)| send(setup, name, path)).collect();
    let path = "/ok?from=xadd";
    let fields =
        [("url", setup.world.sink.url(path)), ("body", r#"{"hello":"from any language"}"#.to_owned())];
    let job_id = setup.queue().enqueue(&fields);
    step("XADD", &format!("postrider:{{default}}:jobs * url {}", setup.world.sink.url(path)));
    jobs.push(Job { name: "foreign", path, enqueued_by: BY_XADD, job_id, trace_id: None });
    jobs
}

fn send(setup: &Setup, name: &'static str, path: &'static str) -> Job {
    let (job_id, trace_id) = setup.send(path);
    Job { name, path, enqueued_by: BY_SEND, job_id, trace_id }
}

fn wait_for_fates(setup: &Setup, jobs: &[Job]) {
    let queue = setup.queue();
    wait::eventually_or("every job is delivered or dead", FATE_DEADLINE, || {
        let unseen = jobs.iter().find(|job| setup.world.sink.requests_to(job.path).is_empty());
        let state = match unseen {
            Some(job) => Err(format!("no request to {}", job.path)),
            None => queue.drained(),
        };
        state.map_err(|state| format!("{state}; the worker's log:\n{}", setup.worker.log().join("\n")))
    });
}

/// Combines the data of the sink, Redis and the receiver on each job.
fn stories_of(setup: &Setup, jobs: &[Job]) -> Vec<Story> {
    let dead = setup.queue().dead();
    let heard: Vec<(&Job, Vec<SinkRequest>)> =
        jobs.iter().map(|job| (job, setup.world.sink.requests_to(job.path))).collect();
    let traces: Vec<String> = heard.iter().map(|(job, requests)| trace_id(job, requests)).collect();
    let spans = setup.receiver.wait_for_spans("the spans of every job", SPANS_DEADLINE, |spans| {
        let is_processed =
            |id: &String| spans.iter().any(|span| span.trace_id == *id && span.name.starts_with("process "));
        traces.iter().all(is_processed)
    });
    let story = |((job, requests), trace_id): (&(&Job, Vec<SinkRequest>), String)| {
        let letter = dead.iter().find(|letter| letter.field("_job_id").as_ref() == Some(&job.job_id));
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
