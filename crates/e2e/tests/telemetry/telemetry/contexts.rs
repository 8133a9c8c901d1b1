//! Tests of the contexts that producers give their jobs.

use e2e::process::{Build, Postrider};
use e2e::wait::DEADLINE;

use super::{GRPC, ObservedWorker, environment, the_only};

#[test]
fn a_job_of_a_foreign_producer_continues_its_trace() {
    let observed = ObservedWorker::start(GRPC, &[]);
    let (trace_id, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let traceparent = format!("00-{trace_id}-{parent}-01");
    observed.queue().enqueue(&[("url", observed.world.sink.url("/ok")), ("traceparent", traceparent)]);
    let spans = observed.trace(trace_id, "process default", 1);
    assert_eq!(the_only(&spans, "process default").parent_span_id.as_deref(), Some(parent));
}

#[test]
fn a_job_of_a_producer_that_puts_its_context_into_the_headers_continues_its_trace() {
    let observed = ObservedWorker::start(GRPC, &[]);
    let (trace_id, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let headers =
        format!(r#"{{"Traceparent":"00-{trace_id}-{parent}-01","tracestate":"a=1","x-own":"kept"}}"#);
    observed.queue().enqueue(&[("url", observed.world.sink.url("/ok")), ("headers", headers)]);
    let spans = observed.trace(trace_id, "process default", 1);
    assert_eq!(the_only(&spans, "process default").parent_span_id.as_deref(), Some(parent));
    let post = observed.trace(trace_id, "POST", 1);
    let request = &observed.world.sink.requests()[0];
    let expected = format!("00-{trace_id}-{}-01", the_only(&post, "POST").span_id);
    assert_eq!(request.header("traceparent"), Some(expected.as_str()));
    assert_eq!((request.header("tracestate"), request.header("x-own")), (Some("a=1"), Some("kept")));
}

#[test]
fn a_context_that_send_is_given_as_a_header_is_the_producers() {
    let observed = ObservedWorker::start(GRPC, &[]);
    let (trace_id, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let header = format!("traceparent: 00-{trace_id}-{parent}-01");
    let (url, redis) = (observed.world.sink.url("/ok"), observed.world.redis.url());
    let endpoint = observed.receiver.grpc_endpoint();
    let arguments = ["send", "POST", &url, "-H", &header, "--redis-url", &redis];
    let output = Postrider::run(Build::Otel, &arguments, &environment(GRPC, &endpoint), DEADLINE);
    assert_eq!(output.code(), 0, "{output:?}");
    let spans = observed.trace(trace_id, "process default", 1);
    assert_eq!(the_only(&spans, "process default").parent_span_id.as_deref(), Some(parent));
}

#[test]
fn a_job_that_is_not_sampled_leaves_no_span() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let url = observed.world.sink.url("/ok?unsampled");
    observed.queue().enqueue(&[("url", url.as_str()), ("traceparent", unsampled)]);
    let request = &observed.world.sink.wait_for(1, DEADLINE)[0];
    let traceparent = request.header("traceparent").unwrap_or_default();
    assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{traceparent}");
    assert!(traceparent.ends_with("-00"), "{traceparent}");
    assert_ne!(traceparent, unsampled, "the request is not the producer's span");
    let later = observed.send("/ok");
    assert_eq!(observed.worker.stop().code(), Some(0));
    observed.trace(&later, "process default", 1);
    let spans = observed.receiver.spans();
    assert!(spans.iter().all(|span| span.trace_id != "0af7651916cd43dd8448eb211c80319c"), "{spans:#?}");
}
