//! HTTP as destinations speak it, and what they must not receive.

use e2e::sink::RawSink;
use e2e::wait::DEADLINE;
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
];

fn heads(world: &World, sink: &RawSink, jobs: &[&[(&str, &str)]]) -> Vec<String> {
    let url = sink.url("/x");
    for fields in jobs {
        world.queue().enqueue(&[&[("url", url.as_str()), ("max_attempts", "1")], *fields].concat());
    }
    let requests = sink.wait_for(jobs.len(), DEADLINE);
    requests.iter().map(|request| String::from_utf8_lossy(request).to_lowercase()).collect()
}

fn no_body() {
    let (world, sink) = (World::new(BUILD), RawSink::start());
    let _worker = world.worker(&["--timeout", "1s"]);
    for head in heads(&world, &sink, &[&[("method", "POST")], &[("method", "PUT")], &[("method", "PATCH")]]) {
        assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
    }
}

fn json_body() {
    let (world, sink) = (World::new(BUILD), RawSink::start());
    let _worker = world.worker(&["--timeout", "1s"]);
    let bodies = [&[("body", "[not json")][..], &[("body", "{nor this}")], &[("body", r#"{"a":1}"#)]];
    let found = heads(&world, &sink, &bodies);
    let marked: Vec<_> =
        found.iter().filter(|head| head.contains("content-type: application/json")).collect();
    assert!(marked.len() == 1 && marked[0].contains(r#"{"a":1}"#), "{found:#?}");
}
