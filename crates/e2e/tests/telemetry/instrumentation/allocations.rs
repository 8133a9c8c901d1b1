//! The cost of a measurement when nothing else is recorded: under a parent that is not sampled.

use std::collections::HashMap;
use std::convert::Infallible;

use allocation_counter::measure;
use bytes::Bytes;
use fred_otel::{Command, TracedClient};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Empty;
use hyper_otel::{Attempt, Options, Propagation, Recipients, Traced};
use telemetry::Context;

use super::Program;

fn unsampled(program: &Program) -> Context {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".to_owned();
    program.telemetry().extract(&HashMap::from([("traceparent".to_owned(), traceparent)]))
}

const WARM: u64 = 3;
const MEASURED: u64 = 100;

#[test]
fn a_request_to_a_known_host_is_measured_without_an_allocation() {
    let program = Program::start();
    let answers = tower::service_fn(|_: Request<Empty<Bytes>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let propagation = Propagation::default().traces(Recipients::Only(vec![]));
    let options = Options::default().propagation(propagation).active_requests(true);
    let mut client = Traced::with_options(answers, &program.telemetry(), options);
    let attempt = Attempt::default().parent(unsampled(&program));
    let mut requests: Vec<_> = (0..WARM + MEASURED)
        .map(|_| Request::get("http://a.test/").body(Empty::new()).expect("valid"))
        .collect();
    let mut send = |count: u64| {
        for request in requests.drain(..count as usize) {
            let response = client.attempt(request, &attempt).now_or_never().expect("it is ready");
            drop(response.expect("it answers always"));
        }
    };
    send(WARM);
    // A request's own parts are freed at the same time; only allocations are counted.
    assert_eq!(measure(|| send(MEASURED)).count_total, 0);
    let got = program.end();
    let counts: Vec<u64> =
        got.points("http.client.request.duration").iter().map(|point| point.count).collect();
    assert_eq!(counts, [WARM + MEASURED], "and all are measured");
}

#[test]
fn a_command_is_measured_without_an_allocation_except_its_future() {
    let program = Program::start();
    let client = fred::types::Builder::default_centralized().build().expect("a client");
    let redis = TracedClient::new(client, &program.telemetry());
    let parent = unsampled(&program);
    let send = |count: u64| {
        for _ in 0..count {
            let command = Command::new("GET").parent(&parent);
            let call = redis.run(command, |_| async { Ok::<_, fred::error::Error>(()) });
            call.now_or_never().expect("it is ready").expect("it answers always");
        }
    };
    send(WARM);
    let boxes = measure(|| send(MEASURED)).count_total;
    assert!(boxes <= MEASURED, "{boxes} for {MEASURED} commands");
    let got = program.end();
    let counts: Vec<u64> =
        got.points("db.client.operation.duration").iter().map(|point| point.count).collect();
    assert_eq!(counts, [WARM + MEASURED], "and all are measured");
}
