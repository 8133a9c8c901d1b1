//! Sends one HTTP request for a job: deadline, egress policy, body cap. The only module that knows hyper's
//! client.

mod body;
mod connector;
mod deadline;
mod error;
mod server_name;

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use http_telemetry::{Attempt, Traced};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use telemetry::Telemetry;

use crate::egress::Egress;
use crate::job::Job;
use crate::outcome::Ending;

use connector::Connector;
use deadline::Deadline;
use error::SendError;

/// How requests are sent.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The deadline of an attempt whose job names none. Default: 30 s.
    pub timeout: Duration,
    /// The deadline of a connection, part of the attempt's. Default: 10 s.
    pub connect_timeout: Duration,
    /// Which addresses may be reached.
    pub egress: Egress,
}

/// How much of a response's body is read; the rest is left unread and the connection closed.
const BODY_CAP: usize = 64 * 1024;
/// Names the worker to destinations.
const AGENT: &str = concat!("postrider/", env!("CARGO_PKG_VERSION"));

/// The client that all attempts share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    client: Traced<Client<Connector, Full<Bytes>>>,
    timeout: Duration,
}

/// The roots of trust for TLS could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error(
    "no root certificates can be loaded: {0}; install the system's CA certificates (Debian: ca-certificates)"
)]
pub struct RootsError(#[from] std::io::Error);

impl Sender {
    /// Makes the client.
    ///
    /// # Errors
    /// Where the system has no root certificates.
    pub fn new(config: &SenderConfig, telemetry: &Telemetry) -> Result<Self, RootsError> {
        let connector = connector::new(config)?;
        let client = Client::builder(TokioExecutor::new())
            // A request that meets a connection which was closed while idle fails and is judged like any
            // other: the client's own repetition would be an attempt that nobody counts.
            .retry_canceled_requests(false)
            // Without a timer the idle timeout does nothing; without a cap, nothing bounds the pool.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(256)
            .build(connector);
        let client = Traced::new(client, telemetry).classify(error::error_type);
        Ok(Self { client, timeout: config.timeout })
    }

    /// Makes one attempt. It ends with the response's body, or by the job's deadline at the latest.
    pub async fn send(&self, job: &Job, attempt: &Attempt) -> Ending {
        let deadline = Instant::now() + job.timeout.unwrap_or(self.timeout);
        match self.exchange(job, attempt, deadline).await {
            Ok(status) => Ending::Answer(status),
            Err(error) => Ending::Failed { error: error::error_type(&error), text: error::sentence(&error) },
        }
    }

    async fn exchange(&self, job: &Job, attempt: &Attempt, deadline: Instant) -> Result<u16, SendError> {
        let mut client = self.client.map(|client| Deadline::new(client.clone(), deadline, BODY_CAP));
        let response = client.attempt(request(job), attempt).await?;
        let status = response.status().as_u16();
        let mut body = pin!(response.into_body());
        // Read to its end or to the cap, so that the connection can be used again and the span is whole. The
        // answer stands in the head: a body that breaks off costs the connection, and shows in the span.
        while let Some(Ok(_)) = body.frame().await {}
        Ok(status)
    }
}

fn request(job: &Job) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(job.body.clone()));
    *request.method_mut() = job.method.clone();
    *request.uri_mut() = job.uri.clone();
    let headers = request.headers_mut();
    *headers = job.headers.clone();
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    // A destination that parses JSON refuses it without; of anything else the producer knows more.
    if matches!(job.body.first(), Some(b'{' | b'[')) {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    set(headers, "idempotency-key", &job.ticket);
    set(headers, "postrider-id", &job.id);
    // The producer's context as it came; where this attempt has a span, that takes its place.
    for (name, value) in [("traceparent", &job.context.traceparent), ("tracestate", &job.context.tracestate)]
    {
        if let Some(value) =
            value.as_ref().and_then(|value| HeaderValue::from_maybe_shared(value.clone()).ok())
        {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    request
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &Bytes) {
    if let Ok(value) = HeaderValue::from_maybe_shared(value.clone()) {
        headers.entry(HeaderName::from_static(name)).or_insert(value);
    }
}
