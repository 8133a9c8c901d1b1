//! A job without a producer's span is one trace, through every state: its first span is the root.

use std::time::SystemTime;

use e2e::otlp::{SpanRecord, Status};
use e2e::process::{Build, Postrider};
use e2e::proxy::{Mode, Proxy};
use e2e::text_file::TextFile;
use e2e::wait::eventually_or;
use e2e::world::World;

use super::{DEADLINE, GRPC, ObservedWorker, environment, in_order, the_only};

/// The spans of jobs: all but those of the worker's own reads and groups, which are roots.
fn of_jobs(spans: &[SpanRecord]) -> Vec<SpanRecord> {
    let is_own = |span: &&SpanRecord| {
        span.name.starts_with("receive ") || span.name == "ack default" && span.parent_span_id.is_none()
    };
    spans.iter().filter(|span| !is_own(span)).filter(|span| span.name.contains(' ')).cloned().collect()
}

/// Ends the worker and returns the spans of its jobs, of which only the first is a root.
fn one_trace(observed: &mut ObservedWorker, first: &str) -> Vec<SpanRecord> {
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = of_jobs(&observed.receiver.spans());
    let roots: Vec<&SpanRecord> = spans.iter().filter(|span| span.parent_span_id.is_none()).collect();
    assert_eq!(roots.iter().map(|root| root.name.as_str()).collect::<Vec<_>>(), [first], "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace_id == roots[0].trace_id), "{spans:#?}");
    spans
}

fn number(span: &SpanRecord, name: &str) -> Option<f64> {
    span.attributes.get(name).and_then(serde_json::Value::as_f64)
}

#[test]
fn a_job_that_is_delayed_and_retried_is_one_trace() {
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "100ms"]);
    observed.queue().enqueue(&[("url", observed.world.sink.url("/flaky/1/a").as_str()), ("delay_ms", "300")]);
    observed.world.sink.wait_for(2, DEADLINE);
    let spans = one_trace(&mut observed, "delay default");
    let delay = the_only(&spans, "delay default");
    let [first, second] = in_order(&spans, "process default")[..] else { panic!("{spans:#?}") };
    assert!(first.is_child_of(delay) && second.is_child_of(delay) && second.links_to(first), "{spans:#?}");
    let flow = format!("127.0.0.1:{}", observed.world.sink.address().port());
    for (name, reason) in [("delay default", "delay"), ("retry default", "backoff")] {
        let span = the_only(&spans, name);
        assert_eq!(span.text("postrider.schedule.reason").as_deref(), Some(reason));
        assert_eq!(span.text("postrider.flow.name"), Some(flow.clone()));
        let due = span.text("postrider.job.due_at").expect("the time at which the job is due");
        assert!(due.starts_with("20") && due.ends_with('Z'), "{due}");
    }
    assert_eq!(number(first, "postrider.job.schedule_duration"), Some(0.3));
    // It has full jitter.
    assert!(number(second, "postrider.job.schedule_duration").is_some(), "{second:#?}");
    for process in [first, second] {
        assert!(number(process, "postrider.job.wait_duration").is_some());
        assert_eq!(number(process, "postrider.job.hold_duration"), None);
    }
}

#[test]
fn a_job_whose_time_has_come_is_one_trace_with_its_delay() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_millis();
    let url = observed.world.sink.url("/ok");
    observed.queue().enqueue(&[("url", url), ("not_before", (now - 60_000).to_string())]);
    observed.world.sink.wait_for(1, DEADLINE);
    let spans = one_trace(&mut observed, "delay default");
    let (delay, process) = (the_only(&spans, "delay default"), the_only(&spans, "process default"));
    assert!(process.is_child_of(delay), "{spans:#?}");
    assert_eq!(delay.text("postrider.job.due_at"), None, "it does not wait");
}

#[test]
fn with_links_the_retry_of_a_delayed_job_links_to_its_first_span() {
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "50ms", "--trace-retries", "link"]);
    observed.queue().enqueue(&[("url", observed.world.sink.url("/flaky/1/a").as_str()), ("delay_ms", "100")]);
    observed.world.sink.wait_for(2, DEADLINE);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = observed.receiver.spans();
    let delay = the_only(&spans, "delay default");
    let [first, second] = in_order(&spans, "process default")[..] else { panic!("{spans:#?}") };
    assert!(first.is_child_of(delay) && second.parent_span_id.is_none(), "{spans:#?}");
    assert!(second.links_to(delay) && second.links_to(first), "{second:#?}");
}

#[test]
fn with_none_the_first_attempt_of_a_delayed_job_is_in_its_trace_and_the_retry_is_not() {
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "50ms", "--trace-retries", "none"]);
    observed.queue().enqueue(&[("url", observed.world.sink.url("/flaky/1/a").as_str()), ("delay_ms", "100")]);
    observed.world.sink.wait_for(2, DEADLINE);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = observed.receiver.spans();
    let [first, second] = in_order(&spans, "process default")[..] else { panic!("{spans:#?}") };
    assert!(first.is_child_of(the_only(&spans, "delay default")), "{spans:#?}");
    assert_eq!((second.parent_span_id.as_deref(), second.links.len()), (None, 0));
    assert_ne!(second.trace_id, first.trace_id);
}

#[test]
fn a_job_that_is_held_is_one_trace() {
    let config = TextFile::new("[flows.narrow]\nconcurrency = 1\n");
    let mut observed = ObservedWorker::start(GRPC, &["--config", config.path()]);
    for path in ["/slow/2000", "/ok", "/ok"] {
        observed.queue().enqueue(&[("url", observed.world.sink.url(path).as_str()), ("flow", "narrow")]);
        // The others arrive while the first is being sent.
        observed.world.sink.wait_for(1, DEADLINE);
    }
    observed.world.sink.wait_for(3, DEADLINE);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = of_jobs(&observed.receiver.spans());
    let processes = in_order(&spans, "process default");
    let traces: std::collections::HashSet<&str> = spans.iter().map(|span| span.trace_id.as_str()).collect();
    assert_eq!((processes.len(), traces.len()), (3, 3), "{spans:#?}");
    let held: Vec<&&SpanRecord> = processes.iter().filter(|span| span.parent_span_id.is_some()).collect();
    assert_eq!(held.len(), 2, "{spans:#?}");
    for process in held {
        let postpone = spans.iter().find(|span| process.is_child_of(span)).expect("its parent is there");
        assert_eq!((postpone.name.as_str(), postpone.parent_span_id.as_deref()), ("hold default", None));
        let reason = postpone.text("postrider.hold.reason").unwrap_or_default();
        assert!(["concurrency", "order", "window"].contains(&reason.as_str()), "{postpone:#?}");
        assert_eq!(postpone.text("postrider.flow.name").as_deref(), Some("narrow"));
        assert!(postpone.text("postrider.job.due_at").is_some());
        assert!(
            number(process, "postrider.job.hold_duration").is_some_and(|held| held > 0.1),
            "{process:#?}"
        );
    }
}

#[test]
fn a_replay_that_is_held_begins_its_trace_with_that_and_links_to_the_old_one() {
    let config = TextFile::new("[flows.narrow]\nconcurrency = 1\n");
    let observed = ObservedWorker::start(GRPC, &["--config", config.path(), "--max-attempts", "1"]);
    let (trace_id, producer) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let traceparent = format!("00-{trace_id}-{producer}-01");
    let url = observed.world.sink.url("/flaky/1/a");
    observed.queue().enqueue(&[("url", &url), ("traceparent", &traceparent), ("flow", &"narrow".to_owned())]);
    eventually_or("a dead letter", DEADLINE, || observed.queue().dead().pop().ok_or("none".to_owned()));
    observed.queue().enqueue(&[("url", observed.world.sink.url("/slow/5000").as_str()), ("flow", "narrow")]);
    observed.world.sink.wait_for(2, DEADLINE);
    let replay = ["dead", "replay", "--all", "--yes", "--redis-url", &observed.world.redis.url()];
    assert_eq!(Postrider::run(Build::Otel, &replay, &[], DEADLINE).code(), 0);
    observed.world.sink.wait_for(3, DEADLINE);
    let spans = observed
        .receiver
        .wait_for_spans("three attempts", DEADLINE, |spans| in_order(spans, "process default").len() == 3);
    let postpone = the_only(&spans, "hold default");
    let old = spans.iter().find(|span| span.trace_id == trace_id && span.name == "process default");
    let old = old.expect("the first attempt is the producer's");
    assert!(postpone.parent_span_id.is_none() && postpone.links_to(old), "{postpone:#?}");
    assert!(postpone.links.iter().any(|link| link.span_id == producer), "{postpone:#?}");
    let processes = in_order(&spans, "process default");
    assert!(
        processes.iter().any(|process| process.is_child_of(postpone) && process.links_to(old)),
        "{spans:#?}"
    );
    observed.drained();
}

#[test]
fn a_job_that_is_delayed_retried_and_held_is_one_trace() {
    let config = TextFile::new(
        "[flows.broken]\nbreaker_failures = 1\nbreaker_pause = \"300ms\"\nbreaker_longest = \"300ms\"\n",
    );
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "50ms", "--config", config.path()]);
    let proxy = Proxy::start_down(observed.world.sink.address().port());
    observed.queue().enqueue(&[("url", proxy.http_url().as_str()), ("flow", "broken"), ("delay_ms", "100")]);
    observed
        .receiver
        .wait_for_spans("a hold", DEADLINE, |spans| spans.iter().any(|span| span.name == "hold default"));
    proxy.set(Mode::Pass);
    observed.world.sink.wait_for(1, DEADLINE);
    let spans = one_trace(&mut observed, "delay default");
    let postpone = in_order(&spans, "hold default")[0];
    assert_eq!(postpone.text("postrider.hold.reason").as_deref(), Some("breaker"));
    assert!(postpone.is_child_of(the_only(&spans, "delay default")), "{spans:#?}");
    assert!(in_order(&spans, "process default").len() >= 2, "{spans:#?}");
}

#[test]
fn a_job_that_is_handed_back_is_one_trace() {
    let mut observed = ObservedWorker::start(GRPC, &["--shutdown-timeout", "100ms"]);
    observed.queue().enqueue(&[("url", observed.world.sink.url("/slow/4000"))]);
    observed.world.sink.wait_for(1, DEADLINE);
    assert_eq!(observed.worker.stop().code(), Some(0));
    let endpoint = observed.receiver.grpc_endpoint();
    observed.worker =
        Postrider::ready_worker(Build::Otel, &observed.world.redis, &[], &environment(GRPC, &endpoint));
    observed.world.sink.wait_for(2, DEADLINE);
    let spans = one_trace(&mut observed, "process default");
    let [first, second] = in_order(&spans, "process default")[..] else { panic!("{spans:#?}") };
    let hand_back = the_only(&spans, "hand_back default");
    assert!(hand_back.is_child_of(first) && second.is_child_of(first), "{spans:#?}");
    assert_eq!(hand_back.text("postrider.schedule.reason").as_deref(), Some("shutdown"));
}

#[test]
fn a_job_that_turns_out_malformed_after_its_delay_is_one_trace_that_shows_why() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    let fields =
        [("url", observed.world.sink.url("/ok")), ("delay_ms", "100".into()), ("retry", "unknown".into())];
    observed.queue().enqueue(&fields);
    let dead =
        eventually_or("a dead letter", DEADLINE, || observed.queue().dead().pop().ok_or("none".to_owned()));
    let spans = one_trace(&mut observed, "delay default");
    let process = the_only(&spans, "process default");
    assert!(process.is_child_of(the_only(&spans, "delay default")), "{spans:#?}");
    assert_eq!(process.status, Status::Error(dead.field("_error").expect("it has an error")));
}

/// The sampler's decision on the first span holds for all others.
#[test]
fn a_job_whose_first_span_is_not_sampled_leaves_no_span_anywhere() {
    let mut observed = ObservedWorker::start(GRPC, &[]);
    let world = World::new(Build::Otel);
    let sink = &world.sink;
    let endpoint = observed.receiver.grpc_endpoint();
    let never = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let recording = environment(GRPC, &endpoint);
    let mut first = world.worker_with(&[], &[&recording[..], &never].concat());
    let queue = world.queue();
    let job_id = queue.enqueue(&[("url", sink.url("/ok").as_str()), ("delay_ms", "3000")]);
    eventually_or("a job in the schedule", DEADLINE, || match queue.scheduled() {
        1 => Ok(()),
        other => Err(format!("{other}")),
    });
    let fields = queue.waiting_fields(&job_id);
    assert_eq!(first.stop().code(), Some(0));
    let kept = fields.iter().find(|(name, _)| name == "_traceparent").expect("the decision is kept");
    let kept = String::from_utf8(kept.1.clone()).expect("a text");
    assert!(kept.ends_with("-00"), "{kept}");
    let mut second = world.worker_with(&[], &recording);
    let sent = sink.wait_for(1, DEADLINE)[0].header("traceparent").expect("it has a context").to_owned();
    queue.wait_until_drained(DEADLINE);
    assert_eq!((second.stop().code(), observed.worker.stop().code()), (Some(0), Some(0)));
    assert!(sent.starts_with(&kept[..36]) && sent.ends_with("-00") && sent != kept, "{sent} {kept}");
    let spans = of_jobs(&observed.receiver.spans());
    assert_eq!(spans, [], "{spans:#?}");
}

#[test]
fn a_wait_shows_whether_the_destination_or_a_rate_is_the_reason() {
    let config = TextFile::new("[flows.calm]\nrate = \"20/m\"\nburst = 1\n");
    let mut observed = ObservedWorker::start(GRPC, &["--retry-base", "10ms", "--config", config.path()]);
    let answer = "503\nretry-after: 1\n\n";
    observed.queue().enqueue(&[("url", observed.world.sink.url("/reply-once/a").as_str()), ("body", answer)]);
    observed.world.sink.wait_for(2, DEADLINE);
    for _ in 0..2 {
        observed.queue().enqueue(&[("url", observed.world.sink.url("/ok").as_str()), ("flow", "calm")]);
    }
    observed.world.sink.wait_for(4, DEADLINE);
    observed.drained();
    assert_eq!(observed.worker.stop().code(), Some(0));
    let spans = observed.receiver.spans();
    let reason = the_only(&spans, "retry default").text("postrider.schedule.reason");
    assert_eq!(reason.as_deref(), Some("retry_after"));
    let postpone = in_order(&spans, "hold default")[0];
    assert_eq!(postpone.text("postrider.hold.reason").as_deref(), Some("rate"));
}
