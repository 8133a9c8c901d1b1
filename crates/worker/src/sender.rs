//! Sends one HTTP request for a job: deadline, egress policy, body cap. The only module that knows hyper's
//! client.

mod body;
mod connector;
mod deadline;
mod error;
mod server_name;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use http_telemetry::{Attempt, Traced};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use telemetry::Telemetry;

use crate::egress::Egress;
use crate::job::Job;
use crate::outcome::{Answer, Ending, Kept, retry_after};
use crate::secrets::Secret;

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
    /// What of an answer is kept for who waits for the result.
    pub results: KeptResults,
}

/// What of an answer is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptResults {
    /// These headers. Default: `content-type`, `content-encoding`, `location`, `x-request-id`.
    pub headers: Vec<HeaderName>,
    /// So many bytes of the body, at most 64 KiB. Default: 16 KiB.
    pub max_body: usize,
}

impl Default for KeptResults {
    fn default() -> Self {
        let names = ["content-type", "content-encoding", "location", "x-request-id"];
        Self { headers: names.map(HeaderName::from_static).to_vec(), max_body: 16 * 1024 }
    }
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
    results: Arc<KeptResults>,
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
        Ok(Self { client, timeout: config.timeout, results: Arc::new(config.results.clone()) })
    }

    /// Makes one attempt. It ends with the response's body, or by the job's deadline at the latest.
    /// `now` is Unix milliseconds.
    pub async fn send(&self, job: &Job, attempt: &Attempt, secret: Option<&Secret>, now: u64) -> Ending {
        let deadline = Instant::now() + job.timeout.unwrap_or(self.timeout);
        match self.exchange(job, attempt, secret, deadline, now).await {
            Ok(answer) => Ending::Answer(answer),
            Err(error) => Ending::Failed { error: error::error_type(&error), text: error::sentence(&error) },
        }
    }

    async fn exchange(
        &self,
        job: &Job,
        attempt: &Attempt,
        secret: Option<&Secret>,
        deadline: Instant,
        now: u64,
    ) -> Result<Answer, SendError> {
        let mut client = self.client.map(|client| Deadline::new(client.clone(), deadline, BODY_CAP));
        let response = client.attempt(request(job, secret, now), attempt).await?;
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        let retry_after =
            if head.status.is_success() { None } else { retry_after(status, &head.headers, now) };
        let keep = job.result_ttl.map(|_| &*self.results);
        let kept = read(body, &head.headers, keep).await;
        Ok(Answer { status, retry_after, kept })
    }
}

/// Reads a body to its end or to the cap, so that the connection can be used again and the span is whole. The answer
/// stands in the head: a body that breaks off costs the connection, and shows in the span.
async fn read<B: Body<Data = Bytes>>(
    body: B,
    headers: &HeaderMap,
    keep: Option<&KeptResults>,
) -> Option<Box<Kept>> {
    let mut body = pin!(body);
    let (mut start, mut length) = (BytesMut::new(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        if let (Some(keep), Ok(data)) = (keep, frame.into_data()) {
            length += data.len();
            let room = keep.max_body.saturating_sub(start.len());
            start.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    let keep = keep?;
    let truncated = length > start.len() || length >= BODY_CAP;
    let mut kept = Kept { headers: HeaderMap::new(), body: start.freeze(), truncated };
    for name in &keep.headers {
        headers.get_all(name).iter().for_each(|value| {
            kept.headers.append(name, value.clone());
        });
    }
    Some(Box::new(kept))
}

fn request(job: &Job, secret: Option<&Secret>, now: u64) -> Request<Full<Bytes>> {
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
    if let Some(secret) = secret {
        secret.apply(headers, &job.ticket, &job.body, now);
    }
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
