//! How the spans of a job are related over retries, delays, takeovers and replays.

use e2e::otlp::{SpanKind, SpanRecord, Status};
use e2e::process::{Build, Postrider};

use super::{DEADLINE, GRPC, ObservedWorker, environment, in_order, the_only};

/// A job of a producer with two attempts: its trace id and all spans.
fn retried(observed: &mut ObservedWorker) -> (String, Vec<SpanRecord>) {
    let trace_id = observed.send("/flaky/1/a");
    observed.world.sink.wait_for(2, DEADLINE);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    (trace_id, observed.receiver.spans())
}

#[test]
fn with_links_each_retry_is_its_own_trace_with_a_link_to_the_previous() {
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "100ms", "--trace-retries", "link"]);
    let (trace_id, spans) = retried(&mut observed);
    let publish = the_only(&spans, "publish default");
    let [first, second] = in_order(&spans, "process default")[..] else { panic!("{spans:#?}") };
    assert!(first.is_child_of(publish));
    assert_eq!(second.parent_span_id, None);
    assert_ne!(second.trace_id, trace_id);
    assert!(second.links_to(publish) && second.links_to(first), "{second:#?}");
}

#[test]
fn with_none_a_retry_has_no_link() {
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "100ms", "--trace-retries", "none"]);
    let (trace_id, spans) = retried(&mut observed);
    let [_, second] = in_order(&spans, "process default")[..] else { panic!("{spans:#?}") };
    assert_eq!((second.parent_span_id.as_deref(), second.links.len()), (None, 0));
    assert_ne!(second.trace_id, trace_id);
}

#[test]
fn with_links_the_retry_of_a_job_that_is_not_sampled_leaves_no_span() {
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "100ms", "--trace-retries", "link"]);
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    observed
        .queue()
        .enqueue(&[("url", observed.world.sink.url("/flaky/1/a").as_str()), ("traceparent", unsampled)]);
    observed.world.sink.wait_for(2, DEADLINE);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = observed.receiver.spans();
    let of_the_job = |span: &&SpanRecord| {
        ["process default", "POST", "receive default", "ack default", "retry default"].contains(&&*span.name)
    };
    assert_eq!(spans.iter().filter(of_the_job).count(), 0, "{spans:#?}");
}

#[test]
fn only_the_last_failure_of_a_job_is_an_error_of_its_delivery() {
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "50ms", "--max-attempts", "2"]);
    let trace_id = observed.send("/status/503");
    observed.world.sink.wait_for(2, DEADLINE);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = observed.trace(&trace_id, "process default", 2);
    let [first, second] = in_order(&spans, "process default")[..] else { panic!("{spans:#?}") };
    assert_eq!((&first.status, first.text("error.type")), (&Status::Unset, None));
    assert_eq!(first.text("postrider.job.outcome").as_deref(), Some("retry"));
    let why = "attempt 2 of 2 was the last: the destination answered 503".to_owned();
    assert_eq!((&second.status, second.text("error.type").as_deref()), (&Status::Error(why), Some("503")));
    assert_eq!(second.text("postrider.job.dead_reason").as_deref(), Some("attempts"));
    assert!(in_order(&spans, "POST").iter().all(|post| matches!(post.status, Status::Error(_))));
    assert!(the_only(&spans, "retry default").is_child_of(first));
    assert!(the_only(&spans, "dead_letter default").is_child_of(second));
}

#[test]
fn a_delay_and_a_takeover_stay_in_the_producers_trace() {
    let mut observed = ObservedWorker::start(GRPC, &["--lease", "1s"]);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let url = observed.world.sink.url("/slow/3000");
    let fields = [("url", url.as_str()), ("traceparent", traceparent), ("delay_ms", "300")];
    let job_id = observed.queue().enqueue(&fields);
    observed.world.sink.wait_for(1, DEADLINE);
    observed.worker.kill();
    let endpoint = observed.receiver.grpc_endpoint();
    let environment = environment(GRPC, &endpoint);
    let mut other =
        Postrider::ready_worker(Build::Otel, &observed.world.redis, &["--lease", "1s"], &environment);
    observed.world.sink.wait_for(2, DEADLINE);
    observed.drained();
    assert_eq!(other.stop().code(), Some(0));
    let spans = observed.trace("0af7651916cd43dd8448eb211c80319c", "process default", 1);
    for name in ["delay default", "process default"] {
        assert_eq!(the_only(&spans, name).parent_span_id.as_deref(), Some("b7ad6b7169203331"), "{name}");
    }
    assert_eq!(the_only(&spans, "process default").text("postrider.job.deliveries").as_deref(), Some("2"));
    // The job id finds all spans of the job, and the entry those of this delivery.
    assert_eq!(the_only(&spans, "delay default").text("messaging.message.id"), Some(job_id.clone()));
    let process = the_only(&spans, "process default");
    assert_eq!(process.text("postrider.job.id"), Some(job_id.clone()));
    let entry = process.text("messaging.message.id");
    assert_ne!(entry, Some(job_id));
    assert_eq!(the_only(&spans, "ack default").text("messaging.message.id"), entry);
    let claim = observed.receiver.spans().into_iter().find(|span| span.name == "claim default");
    let claim = claim.expect("the takeover has a span");
    assert_eq!((claim.parent_span_id, claim.links[0].span_id.as_str()), (None, "b7ad6b7169203331"));
}

#[test]
fn a_replay_by_a_tool_that_records_is_the_root_of_the_new_trace() {
    let observed = ObservedWorker::start(GRPC, &["--max-attempts", "1"]);
    let before = observed.send("/flaky/1/a");
    let old = observed.trace(&before, "process default", 1);
    observed.drained();
    let endpoint = observed.receiver.grpc_endpoint();
    let replay = ["dead", "replay", "--all", "--yes", "--redis-url", &observed.world.redis.url()];
    assert_eq!(Postrider::run(Build::Otel, &replay, &environment(GRPC, &endpoint), DEADLINE).code(), 0);
    let is_new = |span: &SpanRecord| span.name == "process default" && span.trace_id != before;
    let spans = observed.receiver.wait_for_spans("the replay's spans", DEADLINE, |spans| {
        spans.iter().any(is_new) && spans.iter().any(|span| span.name == "replay default")
    });
    let (root, process) = (the_only(&spans, "replay default"), spans.iter().find(|span| is_new(span)));
    assert_eq!((root.kind, root.parent_span_id.as_deref()), (SpanKind::Producer, None));
    assert!(
        root.links_to(the_only(&old, "publish default")) && root.links_to(the_only(&old, "process default"))
    );
    let process = process.expect("it was waited for");
    assert!(process.is_child_of(root) && process.links_to(the_only(&old, "process default")), "{process:#?}");
}

#[test]
fn a_callback_is_in_the_trace_of_its_job() {
    let observed = ObservedWorker::start(GRPC, &[]);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sink = &observed.world.sink;
    for (path, end) in [("/ok", "ack default"), ("/status/410", "dead_letter default")] {
        let trace = if path == "/ok" { traceparent.to_owned() } else { traceparent.replace("319c", "319d") };
        let (url, called) = (sink.url(path), sink.url(&format!("/called{path}")));
        let fields =
            [("url", &*url), ("traceparent", &*trace), ("on_success", &*called), ("on_failure", &*called)];
        let job_id = observed.queue().enqueue(&fields);
        observed.drained();
        observed.trace(&trace[3..35], "process default", 2);
        // The callback has its own `ack`.
        let spans = observed.trace(&trace[3..35], end, if path == "/ok" { 2 } else { 1 });
        let is_callback = |span: &&SpanRecord| span.attributes.contains_key("postrider.job.callback_of");
        let processes = || spans.iter().filter(|span| span.name == "process default");
        let (callback, job) = (processes().find(is_callback), processes().find(|span| !is_callback(span)));
        let (callback, job) = (callback.expect("the callback's span"), job.expect("the job's span"));
        assert!(callback.is_child_of(job), "{callback:?}");
        assert_eq!(callback.text("postrider.job.callback_of"), Some(job_id.clone()));
        assert_eq!(callback.text("postrider.job.id"), Some(format!("{job_id}-callback")));
        let settled = spans.iter().find(|span| span.name == end && span.is_child_of(job));
        let settled = settled.expect("the end of the job has its span");
        assert_eq!(settled.text("postrider.job.callback"), Some(format!("{job_id}-callback")));
        let request = &sink.wait_for_path(&format!("/called{path}"), 1, DEADLINE)[0];
        assert!(request.header("traceparent").is_some_and(|own| own.contains(&trace[3..35])), "{request:?}");
    }
}
