//! One request, recorded over OTLP to the collector of the `OTEL_*` variables.
//!
//! `OTEL_ENABLED=true OTEL_SERVICE_NAME=example cargo run -p hyper-otel --example get -- http://localhost:8080/`

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_otel::{
    ConnectionOptions, Connections, Options, Traced, TracedConnector, TracedResolver, TracedTcp,
};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::rt::TokioExecutor;
use otel_facade::{Config, SpanKind};
use tower_service::Service;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://localhost:8080/".to_owned());
    let running = otel_facade::start(Config::from_env())?;
    let telemetry = running.handle();

    let connections = Connections::new(&telemetry, ConnectionOptions::from_env("EXAMPLE_"));
    let resolver = TracedResolver::new(GaiResolver::new(), &connections);
    let tcp = TracedTcp::new(HttpConnector::new_with_resolver(resolver));
    let connector = TracedConnector::new(tcp, &connections);
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let mut traced = Traced::with_options(client, &telemetry, Options::from_env("EXAMPLE_"));

    let visit = telemetry.span(SpanKind::Internal, "visit").start(|_| ());
    let request = http::Request::get(&url).body(Empty::new())?;
    let result = visit.run(traced.call(request)).await;
    match result {
        Ok(response) => {
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            println!("{status}, {} bytes; trace {:?}", body.len(), visit.context().trace_id());
        }
        Err(error) => eprintln!("no response: {error}"),
    }
    drop(visit);
    running.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
