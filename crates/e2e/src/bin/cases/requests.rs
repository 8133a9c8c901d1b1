//! Requests as destinations get them: URLs, headers and bodies.

use e2e::process::Build;
use e2e::queue::DeadLetter;
use e2e::sink::RawSink;
use e2e::wait::{self, DEADLINE};
use e2e::world::World;

use crate::{BUILD, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_post_without_a_body",
        does: "a POST, a PUT and a PATCH without a body",
        expects: "each has `content-length: 0`",
        run: no_body,
    },
    Case {
        name: "a_body_that_looks_like_json",
        does: "bodies that start like JSON, and one that is",
        expects: "only the one that is JSON is sent as `application/json`",
        run: json_body,
    },
    Case {
        name: "urls_as_browsers_take_them",
        does: "URLs with other letters, a blank, `../`, a user and a password, an international name, and a line break",
        expects: "each is sent as browsers send it; the line break is refused; no password is in the log",
        run: urls,
    },
    Case {
        name: "a_trace_context_among_the_headers",
        does: "a job with `traceparent` in its field `headers`",
        expects: "the request belongs to that trace, with telemetry and without",
        run: trace_context,
    },
];

fn heads(world: &World, sink: &RawSink, jobs: &[&[(&str, &str)]]) -> Vec<String> {
    let url = sink.url("/x");
    for fields in jobs {
        world.queue().enqueue(&[&[("url", url.as_str()), ("max_attempts", "1")], *fields].concat());
    }
    let requests = sink.wait_for(jobs.len(), DEADLINE);
    requests.iter().map(|request| String::from_utf8_lossy(request).to_lowercase()).collect()
}

fn no_body() -> String {
    let (world, sink) = (World::new(BUILD), RawSink::start());
    let _worker = world.worker(&["--timeout", "1s"]);
    for head in heads(&world, &sink, &[&[("method", "POST")], &[("method", "PUT")], &[("method", "PATCH")]]) {
        assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
    }
    "all 3 had it".to_owned()
}

fn json_body() -> String {
    let (world, sink) = (World::new(BUILD), RawSink::start());
    let _worker = world.worker(&["--timeout", "1s"]);
    let bodies = [&[("body", "[not json")][..], &[("body", "{nor this}")], &[("body", r#"{"a":1}"#)]];
    let found = heads(&world, &sink, &bodies);
    let marked: Vec<_> =
        found.iter().filter(|head| head.contains("content-type: application/json")).collect();
    assert!(marked.len() == 1 && marked[0].contains(r#"{"a":1}"#), "{found:#?}");
    "1 of 3 was".to_owned()
}

fn urls() -> String {
    let (world, sink) = (World::new(BUILD), RawSink::start());
    let (queue, place) = (world.queue(), sink.address().to_string());
    let worker = world.worker(&["--timeout", "1s"]);
    let cases = [
        (format!("http://{place}/café?q=✓"), "GET /caf%C3%A9?q=%E2%9C%93 HTTP/1.1\r\n"),
        (format!("http://{place}/a b"), "GET /a%20b HTTP/1.1\r\n"),
        (format!("http://{place}/a/../b"), "GET /b HTTP/1.1\r\n"),
        (format!("http://me:hunter2@{place}/user"), "authorization: Basic bWU6aHVudGVyMg==\r\n"),
    ];
    for (number, (url, part)) in cases.iter().enumerate() {
        queue.enqueue(&[("url", url.as_str()), ("method", "GET")]);
        let requests = sink.wait_for(number + 1, DEADLINE);
        let head = String::from_utf8_lossy(&requests[number]).into_owned();
        assert!(head.contains(part), "{url}: {head}");
    }
    for (url, error) in [
        (format!("http://{place}/a\r\nb"), "control character"),
        ("http://me:hunter2@bücher.invalid/".to_owned(), "xn--bcher-kva.invalid"),
    ] {
        queue.enqueue(&[("url", url.as_str()), ("max_attempts", "1")]);
        let is_its = |letter: &DeadLetter| letter.field("url").as_ref() == Some(&url);
        let dead = wait::eventually("a dead letter", DEADLINE, || queue.dead().into_iter().find(is_its));
        let shown = dead.field("_error").unwrap_or_default();
        assert!(shown.contains(error) && !shown.contains("hunter2"), "{url}: {shown}");
    }
    let log = worker.log().join("\n");
    assert!(!log.contains("hunter2"), "{log}");
    format!("{} sent, 2 refused or not found by the name that was asked", cases.len())
}

fn trace_context() -> String {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers = format!(r#"{{"traceparent":"00-{TRACE}-00f067aa0ba902b7-01"}}"#);
    for build in [Build::Lean, Build::Otel] {
        let world = World::new(build).with("OTEL_ENABLED", "true").with("OTEL_TRACES_EXPORTER", "none");
        let world = world.with("OTEL_METRICS_EXPORTER", "none").with("OTEL_LOGS_EXPORTER", "none");
        let _worker = world.worker(&[]);
        world.queue().enqueue(&[("url", world.sink.url("/ok").as_str()), ("headers", &headers)]);
        let request = world.sink.wait_for(1, DEADLINE).remove(0);
        let sent = request.header("traceparent").unwrap_or_default();
        assert!(sent.starts_with(&format!("00-{TRACE}-")), "{build:?}: {sent}");
    }
    "both builds continue the trace".to_owned()
}
