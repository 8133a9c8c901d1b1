//! The two instrumentation crates in a program that has its own OpenTelemetry providers: here they write to the
//! terminal. Needs a Redis server (`REDIS_URL`, default `redis://127.0.0.1:6379`).
//!
//! `cargo run -p postrider-e2e --example own_providers -- http://127.0.0.1:8080/`

use std::error::Error;

use bytes::Bytes;
use fred::interfaces::ClientLike;
use fred::prelude::{Builder, Config};
use fred_otel::{Call, Options, QueryText, TracedClient};
use http_body_util::{BodyExt, Full};
use hyper_otel::{ConnectionOptions, Connections};
use hyper_otel::{Traced, TracedConnector, TracedTcp};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use telemetry::Telemetry;
use tower::ServiceExt;

#[derive(Debug)]
struct Terminal;

impl SpanExporter for Terminal {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        for span in spans {
            println!("{} {:?} child of {}", span.name, span.status, span.parent_span_id);
            for pair in &span.attributes {
                println!("    {} = {}", pair.key, pair.value);
            }
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The program's own: any exporter, any sampler.
    let provider = SdkTracerProvider::builder().with_simple_exporter(Terminal).build();
    opentelemetry::global::set_tracer_provider(provider.clone());

    // From here on nothing of ours needs to know them.
    let telemetry = Telemetry::global();
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8080/".to_owned());
    let redis = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let work = async {
        let client = Builder::from_config(Config::from_url(&redis)?).build()?;
        client.init().await?;
        let options = Options::default().query_text(QueryText::Keys);
        let redis = TracedClient::with_options(client, &telemetry, options);
        let visits: i64 = redis.send(Call::new("INCR").key("visits")).await?;

        let connections = Connections::new(&telemetry, ConnectionOptions::default());
        let connector = TracedConnector::new(TracedTcp::new(HttpConnector::new()), &connections);
        let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
        let request = http::Request::post(&url).body(Full::from(format!("visit {visits}")))?;
        let response = Traced::new(client, &telemetry).oneshot(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        Ok::<_, Box<dyn Error>>(status)
    };
    let root = opentelemetry::global::tracer("app").start("visit");
    let context = opentelemetry::Context::current_with_span(root);
    let result = work.with_context(context.clone()).await;
    context.span().end();
    provider.shutdown()?;
    println!("answered: {}", result?);
    Ok(())
}
