//! Spans and metrics of periodic jobs.

use e2e::otlp::{SpanKind, Status};
use e2e::process::{Build, Postrider};
use e2e::text_file::TextFile;

use super::{DEADLINE, GRPC, ObservedWorker, the_only};

/// A tick each second.
const FILE: &str = "[cron.beat]\nevery = \"1s\"\njob = { url = \"URL\" }\n";

#[test]
fn a_tick_begins_the_trace_of_its_job() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    let file = TextFile::new(&FILE.replace("URL", &observed.world.sink.url("/ok")));
    let redis = observed.world.redis.url();
    let cron = |arguments: &[&str]| {
        let output = Postrider::run(
            Build::Otel,
            &[&["cron"], arguments, &["--redis-url", redis.as_str()]].concat(),
            &[],
            DEADLINE,
        );
        assert_eq!(output.code(), 0, "{output:?}");
    };
    cron(&["apply", file.path()]);
    let request = observed.world.sink.wait_for(1, DEADLINE)[0].clone();
    cron(&["remove", "beat"]);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = observed.receiver.spans();
    let job = request.header("idempotency-key").expect("a job id").to_owned();
    let own: Vec<_> =
        spans.iter().filter(|span| span.text("messaging.message.id").as_deref() == Some(&job)).collect();
    let tick = own.iter().find(|span| span.name == "publish default").expect("the span of the tick");
    assert_eq!(
        (tick.kind, tick.parent_span_id.as_deref(), &tick.status),
        (SpanKind::Producer, None, &Status::Unset)
    );
    let of_trace: Vec<_> = spans.iter().filter(|span| span.trace_id == tick.trace_id).cloned().collect();
    let work = the_only(&of_trace, "process default");
    assert_eq!(work.parent_span_id.as_deref(), Some(tick.span_id.as_str()));
    let attempt = the_only(&of_trace, "POST");
    assert_eq!(attempt.parent_span_id.as_deref(), Some(work.span_id.as_str()));
    assert!(request.header("traceparent").is_some_and(|text| text.contains(&attempt.span_id)), "{request:?}");
}
