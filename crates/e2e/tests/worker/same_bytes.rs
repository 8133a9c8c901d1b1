//! Tests that a worker sends the same bytes, and keeps the same of its jobs in Redis, whether telemetry is not compiled
//! in, switched off, or records everything.

use e2e::otlp::TO_NOBODY;
use e2e::process::{Build, Postrider};
use e2e::queue::{Fields, Queue};
use e2e::redis::RedisServer;
use e2e::sink::RawSink;
use e2e::text_file::TextFile;
use e2e::wait::{DEADLINE, eventually_or};

const CONTEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const SETTINGS: &str = "[secrets.acme]\nkeys = [{ env = \"ACME_KEY\" }]\nallow_http = true\n\
                        [retry.default]\nwaits = [\"20ms\"]\n[retry.later]\nwaits = [\"1h\", \"1h\"]\n";

/// Jobs that are delivered or end among the dead letters, one after the other: path and fields.
const END: [(&str, &[(&str, &str)]); 15] = [
    (
        "/path?query=1",
        &[("label", "order-1"), ("headers", r#"{"X-Case":"Value","x-two":["a","b"]}"#), ("body", "hello")],
    ),
    ("/get", &[("method", "GET")]),
    ("/context", &[("traceparent", CONTEXT), ("tracestate", "a=b"), ("baggage", "c=d"), ("body", "{}")]),
    ("/context-in-headers", &[("headers", r#"{"TraceParent":"as it came","x-own":"1"}"#), ("body", "{}")]),
    ("/late", &[("delay_ms", "20"), ("body", "late")]),
    ("/signed", &[("secret", "acme"), ("body", "signed")]),
    ("/kept", &[("result_ttl_ms", "1000"), ("flow", "orders"), ("timeout_ms", "5000"), ("body", "kept")]),
    ("/flaky/1/alone", &[("label", "order-2"), ("body", "again")]),
    ("/flaky/1/child", &[("traceparent", CONTEXT), ("secret", "acme"), ("body", "again")]),
    ("/status/503?alone", &[("label", "order-3"), ("x-own", "kept"), ("body", "never"), ("x-own", "twice")]),
    (
        "/status/503?child",
        &[("traceparent", CONTEXT), ("tracestate", "a=b"), ("_made_up", "by the producer")],
    ),
    ("/status/410", &[("result_ttl_ms", "1000"), ("body", "gone")]),
    ("/malformed", &[("delay_ms", "soon"), ("body", "odd")]),
    ("/../café x?q=✓", &[("method", "post"), ("label", "order:4711")]),
    ("/not-json", &[("body", "[section]")]),
];
/// The number of their requests, and of their dead letters.
const REQUESTS: usize = 7 + 2 * 2 + 2 * 2 + 1 + 2;
const DEAD: usize = 4;

/// Jobs that stay in the schedule, before their first attempt and before the second.
const WAIT: [(&str, &[(&str, &str)]); 3] = [
    ("/never", &[("delay_ms", "3600000"), ("label", "order-4"), ("body", "tomorrow")]),
    ("/status/503?waits", &[("retry", "later"), ("x-own", "kept"), ("body", "in an hour")]),
    ("/status/503?waits-too", &[("retry", "later"), ("traceparent", CONTEXT), ("delay_ms", "20")]),
];

/// The bytes that a worker sent and kept, except job ids and ports, which differ in each run.
struct Left {
    requests: Vec<String>,
    /// The fields of each dead letter, and then of each waiting job.
    jobs: Vec<Vec<(String, String)>>,
}

/// Runs all jobs with a worker.
fn left_by(build: Build, recording: &[(&str, &str)]) -> Left {
    let (sink, redis, config) = (RawSink::start(), RedisServer::start(), TextFile::new(SETTINGS));
    let key = format!("whsec_{}", "QUJD".repeat(8));
    let environment = [recording, &[("ACME_KEY", key.as_str())]].concat();
    let _worker = Postrider::ready_worker(build, &redis, &["--config", config.path()], &environment);
    let queue = Queue::new(&redis, "default");
    let enqueue = |(path, fields): (&str, &[(&str, &str)])| {
        queue.enqueue(&[&[("url", sink.url(path).as_str())], fields].concat())
    };
    let mut job_ids = Vec::new();
    for job in END {
        job_ids.push(enqueue(job));
        queue.wait_until_drained(DEADLINE);
    }
    let waiting = WAIT.map(enqueue);
    eventually_or("the jobs wait", DEADLINE, || {
        match (queue.scheduled(), queue.depth(), sink.requests().len()) {
            (3, 0, requests) if requests == REQUESTS + 2 => Ok(()),
            numbers => Err(format!("{numbers:?}")),
        }
    });
    let jobs = queue.dead().into_iter().map(|letter| letter.fields);
    let jobs: Vec<Fields> = jobs.chain(waiting.iter().map(|job_id| queue.waiting_fields(job_id))).collect();
    job_ids.extend(waiting);
    let port = sink.address().port().to_string();
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).expect("these jobs are text").replace(&port, "PORT");
        job_ids.iter().fold(text, |text, job_id| text.replace(job_id, "JOB_ID"))
    };
    let texts = |fields: Fields| fields.into_iter().map(|(name, value)| (name, text(&value))).collect();
    Left {
        requests: sink.requests().iter().map(|request| text(request)).collect(),
        jobs: jobs.into_iter().map(texts).collect(),
    }
}

/// Without the lines that differ between runs: the time of a signature, the signature, and the context.
fn masked_request(request: &str) -> String {
    let own = ["traceparent:", "tracestate:", "baggage:", "webhook-timestamp:", "webhook-signature:"];
    let lines = request.split_inclusive("\r\n");
    lines.filter(|line| !own.iter().any(|name| line.to_ascii_lowercase().starts_with(name))).collect()
}

/// Without times and durations, which differ between runs, and without what telemetry may add: `_traceparent`, and
/// the ids in `_history`.
fn masked_fields(fields: &[(String, String)]) -> Vec<(String, String)> {
    let kept = fields.iter().filter(|(name, _)| name != "_traceparent");
    let masked = kept.map(|(name, value)| {
        let value = match name.as_str() {
            "_enqueued_at" | "_dead_at" if is_time(value) => "TIME".to_owned(),
            // By a secret text of each Redis.
            "_mark" if value.len() == 40 => "MARK".to_owned(),
            "_history" => masked_history(value),
            _ => value.clone(),
        };
        (name.clone(), value)
    });
    masked.collect()
}

fn masked_history(history: &str) -> String {
    let cut = |text: String, before: &str, is_cut: fn(char) -> bool| {
        let mut parts = text.split(before);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| all + before + part.trim_start_matches(is_cut))
    };
    let is_digit = |char: char| char.is_ascii_digit();
    let is_hex = |char: char| char.is_ascii_hexdigit();
    let masked = cut(history.to_owned(), r#""at":"#, is_digit);
    let masked = cut(masked, r#""ms":"#, is_digit);
    let masked = cut(masked, r#","us":{"#, |char| char != '}').replace(r#","us":{}"#, "");
    let masked = cut(masked, r#""trace_id":""#, is_hex);
    cut(masked, r#""span_id":""#, is_hex).replace(r#","trace_id":"","span_id":"""#, "")
}

/// Unix milliseconds.
fn is_time(text: &str) -> bool {
    text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number of fields with ids that only a recording worker can have.
fn ids(left: &Left) -> usize {
    let holds = |(name, value): &&(String, String)| {
        name == "_traceparent" || name == "_history" && value.contains("trace_id")
    };
    left.jobs.iter().flatten().filter(holds).count()
}

#[test]
fn telemetry_changes_only_the_context_of_a_request_and_the_ids_of_a_job() {
    let lean = left_by(Build::Lean, &[]);
    assert!(lean.requests[3].contains("traceparent: as it came\r\n"), "{}", lean.requests[3]);
    assert!(lean.requests[5].contains("webhook-id: JOB_ID"), "{}", lean.requests[5]);
    let encoded = lean.requests[REQUESTS - 2].to_ascii_lowercase();
    assert!(encoded.starts_with("post /caf%c3%a9%20x?q=%e2%9c%93 http/1.1\r\n"), "{encoded}");
    assert!(
        encoded.contains("content-length: 0\r\n") && encoded.contains("label: order:4711\r\n"),
        "{encoded}"
    );
    assert!(!encoded.contains("content-type"), "{encoded}");
    let not_json = lean.requests[REQUESTS - 1].to_ascii_lowercase();
    assert!(!not_json.contains("content-type") && not_json.ends_with("[section]"), "{not_json}");
    assert!(lean.requests[2].contains("content-type: application/json\r\n"), "{}", lean.requests[2]);
    assert_eq!((lean.requests.len(), lean.jobs.len()), (REQUESTS + 2, DEAD + WAIT.len()));
    let (off, recording) = (left_by(Build::Otel, &[]), left_by(Build::Otel, &TO_NOBODY));
    assert_eq!((ids(&lean), ids(&off)), (0, 0));
    // Four jobs that no producer's span belongs to keep the first that was made for them; five were attempted.
    assert_eq!(ids(&recording), 4 + 5, "{:#?}", recording.jobs);
    for other in [off, recording] {
        let requests =
            |left: &Left| left.requests.iter().map(|text| masked_request(text)).collect::<Vec<_>>();
        assert_eq!(requests(&other), requests(&lean));
        let jobs = |left: &Left| left.jobs.iter().map(|fields| masked_fields(fields)).collect::<Vec<_>>();
        assert_eq!(jobs(&other), jobs(&lean));
    }
}
