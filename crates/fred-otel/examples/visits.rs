//! A few commands, recorded over OTLP to the collector of the `OTEL_*` variables.
//!
//! `OTEL_ENABLED=true OTEL_SERVICE_NAME=example cargo run -p fred-otel --example visits -- redis://localhost`

use std::error::Error;
use std::time::Duration;

use fred::interfaces::ClientLike;
use fred::types::Builder;
use fred::types::config::Config as RedisConfig;
use fred_otel::{Call, Hooks, Options, QueryText, TracedClient};
use otel_facade::{Config, SpanKind};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://localhost:6379".to_owned());
    let running = otel_facade::start(Config::from_env())?;
    let telemetry = running.handle();

    let client = Builder::from_config(RedisConfig::from_url(&url)?).build()?;
    client.init().await?;
    let hooks = Hooks::default().on_end(|span, _, error| {
        if let Some(error) = error {
            span.set("app.redis.message", error.details().to_owned());
        }
    });
    let options = Options::default().query_text(QueryText::Keys).hooks(hooks);
    let redis = TracedClient::with_options(client, &telemetry, options);

    let visit = telemetry.span(SpanKind::Internal, "visit").start(|_| ());
    let work = async {
        let visits: i64 = redis.send(Call::new("INCR").key("visits")).await?;
        let last = Call::new("SET").key("visits:last").arg("just now");
        let (_, total): ((), i64) = redis.pipeline(vec![last, Call::new("GET").key("visits")]).await?;
        Ok::<_, fred::error::Error>((visits, total))
    };
    let (visits, total) = visit.run(work).await?;
    println!("visit {visits} of {total}; trace {:?}", visit.context().trace_id());
    drop(visit);
    running.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
