//! Calls each public item in both builds: an incomplete backend does not compile, or fails here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use otel_facade::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, COMPILED, Carrier, Config, Context, Counter, Entered,
    ErrorType, Gauge, Histogram, Observable, Observer, Propagators, Running, ShutdownError, Span, SpanKind,
    Suppressed, Telemetry, Timer, UpDownCounter, Value, semconv,
};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

type Fields = HashMap<String, String>;

/// Telemetry that is switched on and has no receiver.
fn running() -> Running {
    let variables = |name: &str| {
        let value = match name {
            "OTEL_ENABLED" => "true",
            // Port 9 is `discard`: no process listens.
            "OTEL_EXPORTER_OTLP_ENDPOINT" => "http://127.0.0.1:9",
            _ => return None,
        };
        Some(value.to_owned())
    };
    otel_facade::start(Config::from_lookup(variables)).expect("a receiver need not be there")
}

fn exercise(telemetry: &Telemetry) -> (Span, Context) {
    let mut fields = Fields::default();
    fields.set("traceparent", PARENT.to_owned());
    let remote = telemetry.extract(&fields);
    let span = telemetry
        .span(SpanKind::Consumer, Cow::Borrowed("process x"))
        .parent(&remote)
        .link(&remote)
        .link_with(&Context::none(), |attributes| attributes.set("a.b", 1_i64))
        .began(SystemTime::now())
        .start(|attributes| {
            attributes.set(semconv::MESSAGING_SYSTEM, "redis");
            attributes.set("a.bool", true);
            attributes.set("a.number", 0.5);
            attributes.set("a.count", 3_usize);
            attributes.set("a.text", String::from("x"));
            attributes.set("a.shared", std::sync::Arc::<str>::from("y"));
            attributes.set("a.list", vec![String::from("x")]);
        });
    span.set(semconv::HTTP_RESPONSE_STATUS_CODE, 200_u16);
    span.set_with("a.lazy", || Value::from("z"));
    span.fail(&ErrorType::Status(503));
    assert!(!Span::none().is_recording() && !Span::none().context().is_some());
    let histogram: Histogram =
        telemetry.histogram("x.duration", "s", "How long x takes", semconv::REQUEST_SECONDS);
    histogram.record(0.1, |attributes| attributes.set("a.b", "c"));
    let bound: BoundHistogram = histogram.bind(|attributes| attributes.set("a.b", "c"));
    bound.record(0.2);
    let mut timer: Timer = histogram.time(|attributes| attributes.set("a.b", "c"));
    timer.set("a.d", 1_i64);
    timer.stop();
    let counter: Counter = telemetry.counter("x.count", "{x}", "How many x there were");
    counter.add(1, |attributes| attributes.set("a.b", "c"));
    let bound: BoundCounter = counter.bind(|attributes| attributes.set("a.b", "d"));
    bound.add(1);
    let observable = [
        Observable::counter("x.seconds", "s", "How long x took").fractional(),
        Observable::up_down_counter("x.bytes", "By", "How large x is"),
        Observable::gauge("x.age", "s", "How old x is"),
    ];
    for observable in observable {
        telemetry
            .observe(observable, |to: &Observer<'_>| to.record(1.0, |attributes| attributes.set("a.b", "c")));
    }
    let open: UpDownCounter = telemetry.up_down_counter("x.open", "{x}", "How many x are open");
    open.add(1, |attributes| attributes.set("a.b", "c"));
    let bound: BoundUpDownCounter = open.bind(|attributes| attributes.set("a.b", "c"));
    bound.add(-1);
    let gauge: Gauge = telemetry.gauge("x.depth", "{x}", "How many x there are");
    gauge.set(1, |attributes| attributes.set("a.b", "c"));
    (span, remote)
}

#[tokio::test]
async fn every_call_works_whether_it_records_or_not() {
    let running = running();
    for telemetry in [running.handle(), Telemetry::disabled(), Telemetry::global()] {
        let (span, _) = exercise(&telemetry);
        assert_eq!(span.run(async { 1 }).await, 1);
        span.fail_with(&ErrorType::Other, || "it is empty".into());
        let entered: Entered = span.enter();
        drop(entered);
    }
    let _ = running.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_span_continues_the_trace_of_its_parent() {
    let running = running();
    let (span, remote) = exercise(&running.handle());
    assert_eq!(span.is_recording(), COMPILED);
    assert_eq!((remote.is_some(), remote.is_sampled()), (COMPILED, COMPILED));
    assert_eq!(remote.traceparent().as_deref(), COMPILED.then_some(PARENT));
    assert_eq!(span.context().trace_id(), remote.trace_id());
    let mut out = Fields::default();
    span.context().inject(&mut out);
    assert_eq!(out.contains_key("traceparent"), COMPILED);
    assert_ne!(out.get("traceparent").map(String::as_str), Some(PARENT));
    assert_eq!(out.get("tracestate"), None, "an empty tracestate is not written");
    let current = span.run(async { Context::current().traceparent() }).await;
    assert_eq!(current, span.context().traceparent());
    drop(span);
    let _ = running.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_root_takes_over_the_decision_of_another_trace_and_nothing_else() {
    let running = running();
    let telemetry = running.handle();
    let root = |text: &str| {
        let mut fields = Fields::default();
        fields.set("traceparent", text.to_owned());
        let other = telemetry.extract(&fields);
        (telemetry.span(SpanKind::Consumer, "process x").root_as_sampled(&other).start(|_| ()), other)
    };
    let (span, other) = root(PARENT);
    assert_eq!(span.is_recording(), COMPILED);
    assert_eq!(span.context().trace_id() == other.trace_id(), !COMPILED);
    assert!(!root(&PARENT.replace("-01", "-00")).0.is_recording());
    assert_eq!(root("").0.is_recording(), COMPILED, "the sampler decides");
    let _ = running.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn nothing_is_recorded_under_an_unsampled_parent_and_the_decision_is_handed_on() {
    let running = running();
    let mut fields = Fields::default();
    let unsampled = PARENT.replace("-01", "-00");
    fields.set("traceparent", unsampled.clone());
    let telemetry = running.handle();
    let span = telemetry
        .span(SpanKind::Client, "GET")
        .parent(&telemetry.extract(&fields))
        .start(|_| panic!("no attribute is asked for"));
    assert!(!span.is_recording());
    assert_eq!(span.context().traceparent().as_deref(), COMPILED.then_some(unsampled.as_str()));
    let mut sent = Fields::default();
    span.inject(&mut sent, Propagators::ALL);
    let is_own =
        |sent: &String| *sent != unsampled && sent.starts_with(&unsampled[..36]) && sent.ends_with("-00");
    assert_eq!(sent.get("traceparent").map(is_own), COMPILED.then_some(true), "{sent:?}");
    drop(span);
    assert!(running.shutdown(Duration::from_secs(5)).await.is_ok() || COMPILED);
}

#[tokio::test]
async fn a_disabled_handle_holds_no_context_and_asks_for_no_attribute() {
    let running = running();
    let outer = running.handle().span(SpanKind::Internal, "outer").parent(&Context::none()).start(|_| ());
    let context = outer.context();
    let inner = Telemetry::disabled()
        .span(SpanKind::Internal, "inner")
        .parent(&context)
        .start(|_| panic!("no attribute is asked for"));
    assert!(!inner.context().is_some());
    drop(inner);
    assert_eq!(outer.is_recording(), COMPILED, "a switched-off span must not end its parent");
    drop(outer);
    let _ = running.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn metrics_are_there_for_prometheus_where_it_is_asked_for() {
    let start = |exporters: &'static str| {
        let variables = move |name: &str| match name {
            "OTEL_ENABLED" => Some("true".to_owned()),
            "OTEL_TRACES_EXPORTER" => Some("none".to_owned()),
            "OTEL_METRICS_EXPORTER" => Some(exporters.to_owned()),
            _ => None,
        };
        otel_facade::start(Config::from_lookup(variables)).expect("nothing is needed for that")
    };
    let without = start("none");
    assert!(without.handle().prometheus().is_none());
    let with = start("prometheus");
    assert_eq!(with.handle().prometheus().is_some(), COMPILED);
    if let Some(prometheus) = with.handle().prometheus() {
        let handle = with.handle().scoped("a-library", "1.2.3");
        let counter = handle.counter("x.count", "{x}", "How many x there were");
        counter.add(2, |attributes| attributes.set("a.b", "c"));
        let text = prometheus.text().expect("it can be written");
        assert!(text.contains("# HELP x_count_total How many x there were"), "{text}");
        let line = text.lines().find(|line| line.starts_with("x_count_total{")).expect("the counter");
        assert!(line.contains("a_b=\"c\"") && line.ends_with(" 2"), "{line}");
        assert!(line.contains("otel_scope_name=\"a-library\""), "{line}");
    }
    for running in [without, with] {
        running.shutdown(Duration::from_secs(5)).await.expect("nothing is lost");
    }
}

#[tokio::test]
async fn a_value_is_exported_while_it_is_recorded_and_a_panic_harms_no_other_instrument() {
    let variables = |name: &str| match name {
        "OTEL_ENABLED" => Some("true".to_owned()),
        "OTEL_TRACES_EXPORTER" => Some("none".to_owned()),
        "OTEL_METRICS_EXPORTER" => Some("prometheus".to_owned()),
        _ => None,
    };
    let running = otel_facade::start(Config::from_lookup(variables)).expect("nothing is needed for that");
    let telemetry = running.handle();
    let value = std::sync::Arc::new(AtomicU64::new(7));
    let shared = value.clone();
    telemetry.observe(Observable::gauge("x.broken", "{x}", "Never recorded"), |_| panic!("as a test"));
    telemetry.observe(Observable::gauge("x.depth", "{x}", "How many x there are"), move |to| {
        let value = shared.load(Ordering::Relaxed);
        if value > 0 {
            to.record(value as f64, |attributes| attributes.set("a.b", "c"));
        }
    });
    if let Some(prometheus) = telemetry.prometheus() {
        let line = |text: &str| text.lines().find(|line| line.starts_with("x_depth{")).map(str::to_owned);
        let text = prometheus.text().expect("it can be written");
        assert!(line(&text).is_some_and(|line| line.ends_with(" 7")), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("x_broken{")), "{text}");
        value.store(0, Ordering::Relaxed);
        let text = prometheus.text().expect("it can be written");
        assert_eq!(line(&text), None, "{text}");
    }
    running.shutdown(Duration::from_secs(5)).await.expect("nothing is lost");
}

#[tokio::test]
async fn suppression_holds_for_a_future_or_a_scope_and_ends_with_it() {
    assert!(!otel_facade::is_suppressed());
    let inside = otel_facade::suppressed(async {
        tokio::task::yield_now().await;
        otel_facade::is_suppressed()
    });
    assert_eq!(inside.await, COMPILED);
    assert!(!otel_facade::is_suppressed());
    let guard: Suppressed = otel_facade::suppress();
    assert_eq!(otel_facade::is_suppressed(), COMPILED);
    drop(guard);
    assert!(!otel_facade::is_suppressed());
}

#[tokio::test]
async fn shutdown_returns_what_was_lost() {
    let running = running();
    drop(exercise(&running.handle()));
    let result = running.shutdown(Duration::from_secs(20)).await;
    if COMPILED {
        let (lost, ended) = match result {
            Err(ShutdownError::SpansLost { lost, ended } | ShutdownError::Deadline { lost, ended, .. }) => {
                (lost, ended)
            }
            other => panic!("a span was lost, but: {other:?}"),
        };
        assert_eq!((lost, ended), (1, 1));
    } else {
        assert!(result.is_ok());
    }
}

#[test]
fn handles_are_shared_between_threads_and_cost_nothing_in_the_lean_build() {
    fn shared<T: Send + Sync>() -> usize {
        size_of::<T>()
    }
    let sizes = [
        shared::<Telemetry>(),
        shared::<Span>(),
        shared::<Context>(),
        shared::<Histogram>(),
        shared::<BoundHistogram>(),
        shared::<Counter>(),
        shared::<Gauge>(),
        shared::<UpDownCounter>(),
        shared::<BoundUpDownCounter>(),
        shared::<Running>(),
        shared::<Timer>(),
    ];
    if COMPILED {
        assert_eq!(sizes[0], size_of::<usize>(), "one pointer");
    } else {
        assert_eq!(sizes, [0; 11]);
    }
    assert!(std::mem::needs_drop::<Span>(), "in both builds, so that both are used alike");
}
