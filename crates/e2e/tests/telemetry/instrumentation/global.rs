//! With the providers that a program has set itself.

use std::sync::{Arc, Mutex};

use fred_otel::{Command, TracedClient};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use telemetry::Telemetry;

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("no one panics with this lock").extend(batch);
        Ok(())
    }
}

#[tokio::test]
async fn spans_go_to_the_providers_of_the_program_and_are_children_of_its_spans() {
    use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    opentelemetry::global::set_tracer_provider(provider.clone());
    let client = fred::types::Builder::default_centralized().build().expect("a client");
    let redis = TracedClient::new(client, &Telemetry::global());
    let own = provider.tracer("app").start("own");
    let context = opentelemetry::Context::current_with_span(own);
    let call = redis.run(Command::new("GET"), |_| std::future::ready(Ok::<_, fred::error::Error>(())));
    opentelemetry::context::FutureExt::with_context(call, context.clone()).await.expect("it answers so");
    let spans = kept.0.lock().expect("no one panics with this lock");
    let [get] = spans.as_slice() else { panic!("one has ended: {spans:#?}") };
    assert_eq!(get.name, "GET");
    assert_eq!(get.parent_span_id, context.span().span_context().span_id());
    assert_eq!(get.instrumentation_scope.schema_url(), Some(telemetry::semconv::SCHEMA_URL));
}
