//! The reference for the worker's cost: the shortest good loop that does the same jobs with the same clients.
//!
//! It reads a batch, sends each job and acknowledges finished jobs. Reads, requests and acknowledgements
//! overlap. Each batch contains everything that arrived while the previous one was in progress. When the
//! queue is empty, it waits for the next job on a second connection, so it receives the job at once. It has
//! no lease, retry, deadline or telemetry: a failed job ends the program.
//!
//! `REDIS_URL IN_FLIGHT JOBS [https]`: it exits after `JOBS` jobs. `https` chooses a client with TLS.

use std::error::Error;

use bytes::Bytes;
use fred::bytes_utils::Str;
use fred::prelude::*;
use fred::types::config::TcpConfig;
use fred::types::streams::XReadResponse;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};

type Http<C> = hyper_util::client::legacy::Client<C, Full<Bytes>>;
type AnyError = Box<dyn Error>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STREAM: &str = "postrider:{default}:jobs";
const GROUP: &str = "bench";

struct Redis {
    redis: Client,
    /// For blocking reads, which would delay all other commands.
    waiting: Client,
}

struct Job {
    entry: Str,
    url: Str,
    body: Bytes,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [redis_url, in_flight, jobs, tls @ ..] = arguments.as_slice() else {
        return Err("usage: REDIS_URL IN_FLIGHT JOBS [https]".into());
    };
    let (in_flight, jobs) = (in_flight.parse()?, jobs.parse()?);
    let redis = Redis { redis: connect(redis_url).await?, waiting: connect(redis_url).await? };
    redis.redis.xgroup_create::<(), _, _, _>(STREAM, GROUP, "0", true).await?;
    match tls {
        [] => run(&redis, &http(tcp()), in_flight, jobs).await,
        _ => run(&redis, &http(https()?), in_flight, jobs).await,
    }
}

async fn connect(url: &str) -> Result<Client, AnyError> {
    let mut builder = Builder::from_config(Config::from_url(url)?);
    builder.with_connection_config(|connection| {
        connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
    });
    let client = builder.build()?;
    client.init().await?;
    Ok(client)
}

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

/// Trusts the system's authorities, or those of `SSL_CERT_FILE`.
fn https() -> Result<HttpsConnector<HttpConnector>, AnyError> {
    let mut tcp = tcp();
    tcp.enforce_http(false);
    let provider = rustls::crypto::ring::default_provider();
    let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)?;
    Ok(builder.https_only().enable_all_versions().wrap_connector(tcp))
}

fn http<C: Connect + Clone>(connector: C) -> Http<C> {
    hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .retry_canceled_requests(false)
        .build(connector)
}

async fn run<C>(redis: &Redis, http: &Http<C>, in_flight: usize, jobs: usize) -> Result<(), AnyError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let (mut read, mut settled) = (0, 0);
    let mut finished = Vec::new();
    // At most one read and one acknowledgement are in progress, on one connection.
    let (mut reads, mut sends, mut acks) =
        (FuturesUnordered::new(), FuturesUnordered::new(), FuturesUnordered::new());
    while settled < jobs {
        let free = in_flight.saturating_sub(sends.len()).min(jobs - read);
        if reads.is_empty() && free > 0 {
            reads.push(read_batch(redis, free));
        }
        if acks.is_empty() && !finished.is_empty() {
            acks.push(acknowledge(&redis.redis, std::mem::take(&mut finished)));
        }
        tokio::select! {
            Some(batch) = reads.next() => {
                let batch = batch?;
                read += batch.len();
                sends.extend(batch.into_iter().map(|job| send(http, job)));
            }
            Some(entry) = sends.next() => {
                finished.push(entry?);
                // Other finished jobs go into the same acknowledgement.
                while let Some(Some(entry)) = sends.next().now_or_never() {
                    finished.push(entry?);
                }
            }
            Some(count) = acks.next() => settled += count?,
        }
    }
    Ok(())
}

async fn read_batch(redis: &Redis, count: usize) -> Result<Vec<Job>, AnyError> {
    let mut reply = read(&redis.redis, count, None).await?;
    if reply.is_null() {
        // 0 blocks without limit: the last read finds its jobs already in the stream.
        reply = read(&redis.waiting, count, Some(0)).await?;
    }
    let reply: XReadResponse<Str, Str, Str, Bytes> = reply.into_xread_response()?;
    let entries = reply.into_values().flatten();
    let job = |(entry, mut fields): (Str, std::collections::HashMap<Str, Bytes>)| {
        let url = fields.remove("url").ok_or("a job has no url")?;
        let body = fields.remove("body").unwrap_or_default();
        Ok(Job { entry, url: Str::try_from(url)?, body })
    };
    entries.map(job).collect()
}

async fn read(redis: &Client, count: usize, block: Option<u64>) -> Result<Value, AnyError> {
    Ok(redis.xreadgroup(GROUP, "c", Some(count as u64), block, false, STREAM, ">").await?)
}

/// Sends one job and returns the id of its entry.
async fn send<C>(http: &Http<C>, job: Job) -> Result<Str, AnyError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let request = Request::post(&job.url[..]).body(Full::new(job.body))?;
    let response = http.request(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    if status.is_success() { Ok(job.entry) } else { Err(format!("{}: {status}", job.url).into()) }
}

/// Removes finished jobs and returns their number.
async fn acknowledge(redis: &Client, entries: Vec<Str>) -> Result<usize, AnyError> {
    let pipeline = redis.pipeline();
    pipeline.xack::<(), _, _, _>(STREAM, GROUP, entries.clone()).await?;
    pipeline.xdel::<(), _, _>(STREAM, entries).await?;
    let (_, deleted): (usize, usize) = pipeline.all().await?;
    Ok(deleted)
}
