//! Telemetry of connections.

use bytes::Bytes;
use e2e::hostile::{Behaviour, Hostile};
use e2e::otlp::{SpanRecord, Status};
use e2e::sink::Sink;
use http_body_util::{BodyExt, Full};
use hyper_otel::{
    Attempt, ConnectionOptions, Connections, Options, Traced, TracedConnector, TracedResolver, TracedTcp,
};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use telemetry::Telemetry;

use super::{Program, text};

type Connector = TracedConnector<TracedTcp<HttpConnector<TracedResolver<GaiResolver>>>>;
type Traveller = Traced<Client<Connector, Full<Bytes>>>;

fn client(telemetry: &Telemetry) -> Traveller {
    let options = ConnectionOptions::default().metrics(true);
    let connections = Connections::new(telemetry, options);
    let resolver = TracedResolver::new(GaiResolver::new(), &connections);
    let tcp = TracedTcp::new(HttpConnector::new_with_resolver(resolver));
    let connector = TracedConnector::new(tcp, &connections);
    let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector);
    Traced::with_options(client, telemetry, Options::default())
}

async fn get(client: &mut Traveller, url: &str) -> Result<(), Error> {
    let request = http::Request::get(url).body(Full::default()).expect("a valid request");
    let response = client.attempt(request, &Attempt::default()).await?;
    let _ = response.into_body().collect().await;
    Ok(())
}

fn seconds(span: &SpanRecord, part: &str) -> Option<f64> {
    span.attributes.get(&format!("hyper.{part}.duration")).and_then(serde_json::Value::as_f64)
}

#[test]
fn a_span_shows_how_its_connection_was_made_or_that_it_was_reused() {
    let (program, sink) = (Program::start(), Sink::start());
    let url = format!("http://localhost:{}/ok", sink.address().port());
    let mut client = client(&program.telemetry());
    program.run(async {
        for _ in 0..2 {
            get(&mut client, &url).await.expect("the sink answers");
        }
    });
    drop(client);
    let got = program.end();
    let mut spans = got.spans.clone();
    spans.sort_by_key(|span| span.start);
    let [first, second] = spans.as_slice() else { panic!("two spans: {spans:#?}") };
    for (span, reused) in [(first, false), (second, true)] {
        assert_eq!(span.attributes["hyper.connection.reused"], json!(reused));
        assert_eq!(span.attributes["network.peer.address"], json!("127.0.0.1"));
        assert_eq!(span.attributes["network.peer.port"], json!(sink.address().port()));
        assert_eq!(span.attributes["server.address"], json!("localhost"));
        for part in ["dns", "connect"] {
            assert_eq!(seconds(span, part).is_some_and(|took| took > 0.0), !reused, "{part}: {span:#?}");
        }
        assert_eq!(seconds(span, "tls"), None, "there was none");
        let parts = seconds(span, "dns").unwrap_or(0.0) + seconds(span, "connect").unwrap_or(0.0);
        assert!(seconds(span, "first_byte").is_some_and(|took| took >= parts), "{span:#?}");
    }
    assert_eq!(sink.connections(), 1);
}

#[test]
fn connections_and_lookups_are_measured_where_it_is_asked_for() {
    let (program, sink) = (Program::start(), Sink::start());
    let url = format!("http://localhost:{}/ok", sink.address().port());
    let mut client = client(&program.telemetry());
    program.run(get(&mut client, &url)).expect("the sink answers");
    // Two exports: while the connection is idle, and when it is closed.
    program.run(async {
        drop(client);
        // The connection's own task notices that the client is gone.
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    });
    let got = program.end();
    let open = got.points("http.client.open_connections");
    let mut states: Vec<_> =
        open.iter().map(|point| (text(point, "http.connection.state"), point.value)).collect();
    states.sort_by_key(|(state, _)| *state);
    assert_eq!(states, [(Some("active"), Some(0.0)), (Some("idle"), Some(0.0))], "{open:#?}");
    assert!(open.iter().all(|point| text(point, "server.address") == Some("localhost")), "{open:#?}");
    let lives = got.points("http.client.connection.duration");
    assert_eq!((lives.len(), lives[0].count), (1, 1));
    assert_eq!(lives[0].attributes["server.port"], json!(sink.address().port()));
    let lookups = got.points("dns.lookup.duration");
    assert_eq!((lookups.len(), lookups[0].count), (1, 1));
    assert_eq!(text(lookups[0], "dns.question.name"), Some("localhost"));
}

#[test]
fn a_refused_connection_and_an_unknown_name_are_recorded() {
    let (program, refuses) = (Program::start(), Hostile::start(Behaviour::Refuse, None));
    let mut client = client(&program.telemetry());
    program.run(async {
        let url = format!("http://127.0.0.1:{}/", refuses.port());
        get(&mut client, &url).await.expect_err("nobody listens");
        get(&mut client, "http://does-not-exist.invalid/").await.expect_err("the name does not exist");
    });
    let got = program.end();
    let mut spans = got.spans.clone();
    spans.sort_by_key(|span| span.start);
    let [refused, unknown] = spans.as_slice() else { panic!("two spans: {spans:#?}") };
    assert_eq!(refused.text("error.type").as_deref(), Some("connect"));
    assert_eq!(refused.status, Status::Error("no connection could be made".to_owned()));
    assert!(seconds(refused, "connect").is_some() && seconds(refused, "dns").is_none(), "{refused:#?}");
    assert!(seconds(unknown, "dns").is_some(), "{unknown:#?}");
    for span in [refused, unknown] {
        assert_eq!(span.attributes["hyper.connection.reused"], json!(false));
        assert_eq!(span.attributes.get("http.response.status_code"), None);
    }
    let points = got.points("http.client.request.duration");
    assert!(points.iter().any(|point| text(point, "error.type") == Some("connect")), "{points:#?}");
    let lookups = got.points("dns.lookup.duration");
    assert_eq!(text(lookups[0], "error.type"), Some("dns"));
}
