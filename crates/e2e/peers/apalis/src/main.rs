//! The worker of apalis that `cargo xtask bench --peers` measures.
//!
//! `peer-apalis enqueue REDIS_URL URL` makes a job of each line of its standard input. `peer-apalis work REDIS_URL IN_FLIGHT`
//! sends the jobs until SIGTERM, with telemetry if `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

mod telemetry;

use std::error::Error;
use std::time::Duration;

use apalis::layers::opentelemetry::OpenTelemetryMetricsLayer;
use apalis::layers::tracing::{ContextualTaskSpan, TraceLayer};
use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};

/// That of the bare loop.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type AnyError = Box<dyn Error + Send + Sync>;

const QUEUE: &str = "jobs";
/// Of an idle worker.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    url: String,
    body: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["enqueue", redis_url, url] => enqueue(redis_url, url).await,
        ["work", redis_url, in_flight] => work(redis_url, in_flight.parse()?).await,
        _ => Err("usage: peer-apalis enqueue REDIS_URL URL | work REDIS_URL IN_FLIGHT".into()),
    }
}

/// Lines that have arrived together are pushed together.
async fn enqueue(redis_url: &str, url: &str) -> Result<(), AnyError> {
    let connection = apalis_redis::connect(redis_url).await?;
    let mut storage = RedisStorage::new(connection).with_config(Config::default().queue(QUEUE));
    let mut input = BufReader::with_capacity(1 << 16, tokio::io::stdin());
    let mut line = String::new();
    let mut jobs = Vec::new();
    while input.read_line(&mut line).await? > 0 {
        jobs.push(Job { url: url.to_owned(), body: line.trim_end().to_owned() });
        line.clear();
        if !input.buffer().contains(&b'\n') {
            storage.push_bulk(std::mem::take(&mut jobs)).await?;
        }
    }
    Ok(())
}

async fn work(redis_url: &str, in_flight: usize) -> Result<(), AnyError> {
    let telemetry = telemetry::start()?;
    // Without a lock for each job: a worker's jobs are taken over when its heartbeat is missing. apalis advises that
    // for jobs that take less time than a heartbeat. Events are for other programs that wait for a job's end.
    let config = Config::default().queue(QUEUE).batch_size(in_flight).lock_tasks(false).emit_events(false);
    // A pushed job wakes no worker, not even one of a factory: it is scheduled for the current second.
    let storage = RedisStorage::new(apalis_redis::connect(redis_url).await?).with_config(config);
    let storage = storage.poll_with_interval(POLL_INTERVAL);
    let worker = WorkerBuilder::new("peer").backend(storage).data(reqwest::Client::new());
    let mut end = signal(SignalKind::terminate())?;
    let end = async move {
        end.recv().await;
        Ok::<(), WorkerError>(())
    };
    if telemetry.is_some() {
        let spans = TraceLayer::new().make_span_with(ContextualTaskSpan::new().level(tracing::Level::INFO));
        let worker = worker.parallelize(tokio::spawn).concurrency(in_flight);
        worker
            .layer(OpenTelemetryMetricsLayer::default())
            .layer(spans)
            .build(send_traced)
            .run_until(end)
            .await?;
    } else {
        worker.parallelize(tokio::spawn).concurrency(in_flight).build(send).run_until(end).await?;
    }
    // The exporter of metrics must not wait for this thread.
    tokio::task::spawn_blocking(|| telemetry.map(telemetry::Telemetry::stop)).await?;
    Ok(())
}

async fn send(job: Job, http: Data<reqwest::Client>) -> Result<(), AnyError> {
    let response = http.post(job.url).body(job.body).send().await?;
    response.error_for_status()?.bytes().await?;
    Ok(())
}

async fn send_traced(job: Job, http: Data<reqwest::Client>) -> Result<(), AnyError> {
    let response = telemetry::traced(&http, http.post(job.url).body(job.body).build()?).await?;
    response.error_for_status()?.bytes().await?;
    Ok(())
}
