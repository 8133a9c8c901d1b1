//! What is recorded of requests.

mod canned;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use e2e::otlp::{SpanKind, Status};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper_otel::{
    Attempt, Captured, End, Excluded, Hooks, Methods, Options, Propagation, Recipients, Redaction, Traced,
    TracedLayer,
};
use serde_json::json;
use telemetry::SpanKind as Kind;
use tower::{Layer, ServiceExt};

use self::canned::Canned;
use super::{Got, Program, text};

fn get(url: &str) -> Request<Empty<Bytes>> {
    Request::get(url).body(Empty::new()).expect("a valid request")
}

/// Sends one request with these options, and reads the body as far as it arrives.
fn one(request: Request<Empty<Bytes>>, canned: &Canned, options: Options, attempt: &Attempt) -> Got {
    let program = Program::start();
    let mut client = Traced::with_options(canned.clone(), &program.telemetry(), options);
    program.run(async {
        let response = client.attempt(request, attempt).await.expect("it answers always");
        let _ = response.into_body().collect().await;
    });
    program.end()
}

#[test]
fn an_attempt_is_a_span_by_the_conventions() {
    let attempt = Attempt::default().resend_count(2).template("/users/{id}");
    let request = get("https://me:hunter2@a.test/users/7?sig=hunter2&x=1");
    let got = one(request, &Canned::answering(200), Options::default(), &attempt);
    let span = got.span();
    assert_eq!((span.name.as_str(), span.kind), ("GET /users/{id}", SpanKind::Client));
    assert_eq!(span.status, Status::Unset);
    assert_eq!(span.attributes["http.request.method"], json!("GET"));
    assert_eq!(span.attributes["server.address"], json!("a.test"));
    assert_eq!(span.attributes["server.port"], json!(443));
    let url = "https://REDACTED:REDACTED@a.test/users/7?sig=REDACTED&x=1";
    assert_eq!(span.attributes["url.full"], json!(url));
    assert_eq!(span.attributes["url.template"], json!("/users/{id}"));
    assert_eq!(span.attributes["http.request.resend_count"], json!(2));
    assert_eq!(span.attributes["http.response.status_code"], json!(200));
    assert_eq!(span.attributes["network.protocol.version"], json!("1.1"));
    for absent in ["error.type", "http.request.method_original", "hyper.connection.reused"] {
        assert_eq!(span.attributes.get(absent), None, "{span:#?}");
    }
    assert!(!format!("{span:?}").contains("hunter2"), "{span:#?}");
}

#[test]
fn a_span_and_its_measurement_last_as_long_as_the_body_or_to_the_head() {
    let whole = Duration::from_millis(100);
    for (end, is_whole) in [(End::Body, true), (End::Head, false)] {
        let options = Options::default().end(end);
        let got = one(get("http://a.test/"), &Canned::answering(200), options, &Attempt::default());
        let span = got.span();
        let points = got.points("http.client.request.duration");
        assert_eq!((points.len(), points[0].count), (1, 1));
        let apart = (points[0].sum - span.duration().as_secs_f64()).abs();
        assert_eq!(span.duration() >= whole, is_whole, "{end:?}: {span:#?}");
        assert!(!is_whole || (points[0].sum >= 0.1 && apart < points[0].sum / 2.0), "{points:?} {span:#?}");
        assert_eq!(span.attributes.contains_key("hyper.body.duration"), is_whole);
        assert!(span.attributes["hyper.first_byte.duration"].as_f64().is_some_and(|took| took >= 0.0));
    }
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_a_body_that_is_left_is_none() {
    let broken = Canned::breaking_off();
    let got = one(get("http://a.test/"), &broken, Options::default(), &Attempt::default());
    assert_eq!(got.span().text("error.type").as_deref(), Some("connection_reset"));
    assert_eq!(got.span().status, Status::Error("the connection broke while it was in use".to_owned()));
    assert_eq!(text(got.points("http.client.request.duration")[0], "error.type"), Some("connection_reset"));

    let program = Program::start();
    let mut client = Traced::with_options(broken, &program.telemetry(), Options::default());
    drop(program.run(client.attempt(get("http://a.test/"), &Attempt::default())));
    let got = program.end();
    assert_eq!((got.span().status.clone(), got.span().attributes.get("error.type")), (Status::Unset, None));
    assert_eq!(got.points("http.client.request.duration")[0].count, 1, "the answer was there");
}

#[test]
fn a_future_that_is_dropped_is_a_cancellation() {
    let program = Program::start();
    let waits = tower::service_fn(|_: Request<Empty<Bytes>>| {
        std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let options = Options::default().active_requests(true);
    let mut client = Traced::with_options(waits, &program.telemetry(), options);
    program.run(async {
        let attempt = client.attempt(get("http://a.test/"), &Attempt::default());
        assert!(tokio::time::timeout(Duration::from_millis(20), attempt).await.is_err());
    });
    let got = program.end();
    assert_eq!((got.span().status.clone(), got.span().attributes.get("error.type")), (Status::Unset, None));
    assert_eq!(got.points("http.client.request.duration").len(), 0);
    assert_eq!(got.points("http.client.active_requests")[0].value, Some(0.0));
}

#[test]
fn status_codes_and_methods_follow_the_conventions() {
    for (status, error) in [(204, None), (302, None), (404, Some("404")), (503, Some("503"))] {
        let got =
            one(get("http://a.test/"), &Canned::answering(status), Options::default(), &Attempt::default());
        assert_eq!(got.span().text("error.type").as_deref(), error, "{status}");
        assert_eq!(got.span().status == Status::Error(String::new()), error.is_some(), "{status}");
        let point = got.points("http.client.request.duration")[0];
        assert_eq!(text(point, "error.type"), error);
        assert_eq!(point.attributes["http.response.status_code"], json!(status));
        assert_eq!(text(point, "server.address"), Some("a.test"));
        assert_eq!(point.attributes["server.port"], json!(80));
    }
    for (methods, name, method) in
        [(Methods::default(), "HTTP", "_OTHER"), (Methods::listed("PURGE"), "PURGE", "PURGE")]
    {
        let mut request = get("http://a.test/");
        *request.method_mut() = "PURGE".parse().expect("a method");
        let options = Options::default().methods(methods);
        let got = one(request, &Canned::answering(200), options, &Attempt::default());
        assert_eq!(got.span().name, name);
        assert_eq!(got.span().attributes["http.request.method"], json!(method));
        let original = got.span().text("http.request.method_original");
        assert_eq!(original.as_deref(), (method == "_OTHER").then_some("PURGE"));
    }
}

#[test]
fn headers_and_parameters_are_shown_and_hidden_as_asked() {
    let captured = Captured::default().request("x-.*,authorization").response("x-answer,set-cookie");
    let redaction = Redaction::of_parameters(["mine"]);
    let options = Options::default().captured(captured.sanitized("x-key")).redaction(redaction);
    let mut request = get("http://a.test/?mine=hunter2&sig=1");
    for (name, value) in [("x-one", "1"), ("x-one", "2"), ("x-key", "hunter2"), ("authorization", "hunter2")]
    {
        request.headers_mut().append(name, value.parse().expect("a value"));
    }
    let got = one(request, &Canned::answering(200), options, &Attempt::default());
    let span = got.span();
    assert_eq!(span.attributes["http.request.header.x-one"], json!(["1", "2"]));
    assert_eq!(span.attributes["http.response.header.x-answer"], json!(["yes"]));
    for secret in ["request.header.x-key", "request.header.authorization", "response.header.set-cookie"] {
        assert_eq!(span.attributes[&format!("http.{secret}")], json!(["[REDACTED]"]), "{secret}");
    }
    assert_eq!(span.attributes["url.full"], json!("http://a.test/?mine=REDACTED&sig=1"));
    assert!(!format!("{span:?}").contains("hunter2"), "{span:#?}");
}

#[test]
fn excluded_and_suppressed_requests_are_not_recorded() {
    let canned = Canned::answering(200);
    let options = Options::default().excluded(Excluded::listed("a.test/health*"));
    let got = one(get("http://a.test/healthz"), &canned, options, &Attempt::default());
    assert_eq!((got.spans.len(), got.points("http.client.request.duration").len()), (0, 0));
    assert!(canned.headers().is_empty(), "{:?}", canned.headers());

    let program = Program::start();
    let mut client = Traced::with_options(canned.clone(), &program.telemetry(), Options::default());
    let attempt = Attempt::default();
    program.run(telemetry::suppressed(async {
        let response = client.attempt(get("http://a.test/"), &attempt).await.expect("it answers always");
        response.into_body().collect().await.expect("a body")
    }));
    let got = program.end();
    assert_eq!((got.spans.len(), got.points("http.client.request.duration").len()), (0, 0));
    assert!(canned.headers().is_empty(), "{:?}", canned.headers());
}

#[test]
fn context_is_sent_to_hosts_of_the_policy() {
    let only = |hosts: &str| Propagation::default().traces(hosts.parse().expect("hosts"));
    let policies =
        [(Propagation::default(), true), (only("a.test:80,b.test"), true), (only("b.test"), false)];
    for (propagation, is_sent) in policies {
        let canned = Canned::answering(200);
        let options = Options::default().propagation(propagation);
        let got = one(get("http://a.test/"), &canned, options, &Attempt::default());
        let span = got.span();
        let sent = canned.headers().get("traceparent").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(sent, is_sent.then(|| format!("00-{}-{}-01", span.trace_id, span.span_id)));
    }
    assert_eq!("none".parse(), Ok(Recipients::Only(vec![])));
}

#[test]
fn hooks_see_request_response_and_error_and_may_panic() {
    let hooks = || {
        Hooks::default()
            .on_request(|span, head| span.set("app.path", head.uri.path().to_owned()))
            .on_response(|span, head| span.set("app.headers", head.headers.len()))
            .on_error(|span, error, named| span.set("app.error", format!("{} {error}", named.as_str())))
    };
    let options = Options::default().hooks(hooks());
    let broken = Canned::breaking_off();
    let got = one(get("http://a.test/x"), &broken, options, &Attempt::default());
    assert_eq!(got.span().attributes["app.path"], json!("/x"));
    assert_eq!(got.span().attributes["app.headers"], json!(2));
    assert_eq!(got.span().attributes["app.error"], json!("connection_reset connection reset"));

    let panics =
        Hooks::default().on_request(|_, _| panic!("on purpose")).on_response(|_, _| panic!("on purpose"));
    let options = Options::default().hooks(panics);
    let got = one(get("http://a.test/x"), &Canned::answering(200), options, &Attempt::default());
    assert_eq!(got.span().status, Status::Unset, "{:#?}", got.span());
}

#[test]
fn metrics_know_the_first_hosts_by_name() {
    let program = Program::start();
    let options = Options::default().most_hosts(2);
    let mut client = Traced::with_options(Canned::answering(200), &program.telemetry(), options);
    for host in ["a.test", "b.test", "c.test:81", "d.test:82", "a.test"] {
        let attempt = Attempt::default();
        let sent = client.attempt(get(&format!("http://{host}/")), &attempt);
        drop(program.run(sent).expect("it answers always"));
    }
    let got = program.end();
    let mut counts: Vec<_> = got
        .points("http.client.request.duration")
        .iter()
        .map(|point| (text(point, "server.address").unwrap_or_default().to_owned(), point.count))
        .collect();
    counts.sort();
    assert_eq!(counts, [("_OTHER".to_owned(), 2), ("a.test".to_owned(), 2), ("b.test".to_owned(), 1)]);
    let named: Vec<_> = got.spans.iter().filter_map(|span| span.text("server.address")).collect();
    assert!(named.contains(&"d.test".to_owned()), "spans know every host: {named:?}");
}

#[test]
fn a_layer_makes_it_part_of_a_stack_and_the_request_may_carry_what_is_known() {
    let program = Program::start();
    let outer = program.telemetry().span(Kind::Internal, "outer").start(|_| ());
    let layer = TracedLayer::new(&program.telemetry(), Options::default());
    let mut request = get("http://a.test/");
    let attempt = Attempt::default().parent(outer.context()).resend_count(1);
    request.extensions_mut().insert(attempt);
    let client = layer.layer(Canned::answering(200));
    drop(program.run(client.oneshot(request)).expect("it answers always"));
    drop(outer);
    let got = program.end();
    let named = |name: &str| got.spans.iter().find(|span| span.name == name).expect("it was recorded");
    assert!(named("GET").is_child_of(named("outer")));
    assert_eq!(named("GET").attributes["http.request.resend_count"], json!(1));
}
