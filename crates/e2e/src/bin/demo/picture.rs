//! The picture of a trace: a job whose first attempt fails and whose second succeeds, drawn as SVG.

use std::fs;
use std::path::Path;
use std::time::Duration;

use e2e::otlp::{SpanKind, SpanRecord};
use e2e::text_file::TextFile;
use e2e::wait;
use e2e::waterfall;

use crate::setup::{Setup, step};

const QUEUE: &str = "mail";
/// Short, so that the attempts are not squashed by the time between them. A list of waits has no jitter.
const CONFIG: &str = "[retry.default]\nwaits = [\"80ms\"]\n";
/// 503 at first, then 200, each after 25 ms.
const PATH: &str = "/flaky/1/picture/25";
const DELIVERY_DEADLINE: Duration = Duration::from_secs(30);
const SPANS_DEADLINE: Duration = Duration::from_secs(10);

/// Plays the scene and writes the picture to this file.
pub(crate) fn draw(file: &Path) {
    let config = TextFile::new(CONFIG);
    let mut setup = Setup::start(QUEUE, &["--config", config.path()]);
    // The worker's connections, code and scripts are warm after a first job, as they are in a worker that runs.
    deliver(&setup, "/flaky/1/warm", 2);
    let trace_id = deliver(&setup, PATH, 2);
    setup.stop_worker();
    let spans = setup.receiver.wait_for_spans("both attempts and their producer", SPANS_DEADLINE, |spans| {
        let count = |kind| of_trace(spans, &trace_id).iter().filter(|span| span.kind == kind).count();
        count(SpanKind::Producer) == 1 && count(SpanKind::Consumer) == 2
    });
    let svg = waterfall::svg(&of_trace(&spans, &trace_id));
    fs::write(file, svg).unwrap_or_else(|error| panic!("{} cannot be written: {error}", file.display()));
    step("picture", &file.display().to_string());
}

/// Sends a job and waits until it is settled after `requests` requests; returns the id of its trace.
fn deliver(setup: &Setup, path: &str, requests: usize) -> String {
    let (_, trace_id) = setup.send(path);
    setup.world.sink.wait_for_path(path, requests, DELIVERY_DEADLINE);
    let queue = setup.queue();
    wait::eventually_or("the job is delivered", DELIVERY_DEADLINE, || queue.drained());
    trace_id.expect("`postrider send` with telemetry on reports the trace")
}

fn of_trace(spans: &[SpanRecord], trace_id: &str) -> Vec<SpanRecord> {
    spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect()
}
