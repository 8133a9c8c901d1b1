//! Sends one HTTP request for a job: deadlines, egress policy, proxy, body cap. The only module that knows
//! hyper's client.

mod body;
mod connector;
mod deadline;
mod dial;
mod dialled;
mod error;
mod pool;
mod proxy;
mod resolver;
mod server_name;
mod settings;
mod stream;
mod tls;
mod upload;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use http_telemetry::{Attempt, ConnectionOptions, Connections, Options, Propagation, Traced};
use telemetry::{ErrorType, Telemetry};
use tracing::{info, warn};

use crate::egress::Egress;
use crate::job::Job;
use crate::outcome::{Answer, Ending, Kept, retry_after};
use crate::secrets::Secret;

use connector::{Connector, place, proxy_of};
use deadline::{Bounds, Deadline};
use error::SendError;
use pool::Pool;
use resolver::Resolver;
use stream::OpenCount;

pub use proxy::{BadExempt, BadProxy, Proxy, exempt};
pub use settings::{HttpConfig, TlsVersion};
pub use tls::{Identity, TlsError};

/// How requests are sent.
#[derive(Clone, Debug)]
pub struct SenderConfig {
    /// The deadline of an attempt whose job names none. Default: 30 s.
    pub timeout: Duration,
    /// Which addresses may be reached.
    pub egress: Egress,
    /// What of an answer is kept for who waits for the result.
    pub results: KeptResults,
    /// Deadlines of the parts of an attempt, limits, TLS and the proxy.
    pub http: HttpConfig,
    /// Client certificates by the names under which jobs ask for them.
    pub identities: BTreeMap<String, Identity>,
    /// How attempts are recorded, and to whom the context of traces is sent: the latter holds in every build.
    pub recording: Options,
    /// What is recorded of connections.
    pub connections: ConnectionOptions,
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

/// Names the worker to destinations.
const AGENT: &str = concat!("postrider/", env!("CARGO_PKG_VERSION"));

/// The clients that all attempts share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    traced: Traced<()>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    timeout: Duration,
    http: HttpConfig,
    results: KeptResults,
    propagation: Propagation,
    busy: OpenCount,
    /// Whether the last request that went through the proxy was the proxy's fault.
    proxy_fails: AtomicBool,
    anonymous: Pool,
    /// A connection shows its certificate once, so who has one shares none with others.
    identified: BTreeMap<String, Pool>,
}

impl Sender {
    /// Makes the clients.
    ///
    /// # Errors
    /// Where there are no root certificates, or a certificate cannot be used.
    pub fn new(config: &SenderConfig, telemetry: &Telemetry) -> Result<Self, TlsError> {
        let (http, open, busy) = (&config.http, OpenCount::default(), OpenCount::default());
        let roots = tls::roots(http)?;
        let resolver = Resolver::new(http.dns_timeout);
        let connections = Connections::new(telemetry, config.connections);
        let pool = |identity| -> Result<Pool, TlsError> {
            let tls = tls::client(http, &roots, identity)?;
            let (egress, resolver) = (config.egress.clone(), resolver.clone());
            let (open, connections) = (open.clone(), connections.clone());
            let connector = Connector::new(egress, http.clone(), tls, resolver, open.clone(), connections);
            Ok(Pool::new(http, connector, open, busy.clone()))
        };
        let identified = config.identities.iter().map(|(name, own)| Ok((name.clone(), pool(Some(own))?)));
        let shared = Shared {
            timeout: config.timeout,
            http: http.clone(),
            results: config.results.clone(),
            propagation: config.recording.propagation.clone(),
            busy: busy.clone(),
            proxy_fails: AtomicBool::new(false),
            anonymous: pool(None)?,
            identified: identified.collect::<Result<_, TlsError>>()?,
        };
        let (classify, describe) = (error::error_type, Some(error::description as fn(&_) -> _));
        let options = Options { classify, describe, ..config.recording.clone() };
        let traced = Traced::with_options((), telemetry, options);
        Ok(Self { traced, shared: Arc::new(shared) })
    }

    /// Makes one attempt, signed and identified by the job's secret where it has one. It ends with the
    /// response's body, or by the job's deadline at the latest. `now` is Unix milliseconds.
    pub async fn send(&self, job: &Job, attempt: &Attempt, secret: Option<&Secret>, now: u64) -> Ending {
        let deadline = Instant::now() + job.timeout.unwrap_or(self.shared.timeout);
        let name = job.secret.as_deref().and_then(|name| std::str::from_utf8(name).ok());
        let pool = name.and_then(|name| self.shared.identified.get(name));
        let pool = pool.unwrap_or(&self.shared.anonymous);
        // Before this request counts: it has no connection yet that would not be idle.
        let client = pool.client();
        let _busy = self.shared.busy.open();
        let mut result = self.exchange(client, job, attempt, secret, deadline, now).await;
        if result.as_ref().is_err_and(error::may_repeat) {
            let again = Attempt { resend_count: attempt.resend_count + 1, ..attempt.clone() };
            result = self.exchange(pool.fresh(), job, &again, secret, deadline, now).await;
        }
        self.shared.watch_proxy(&job.uri, &result);
        match result {
            Ok(answer) => Ending::Answer(answer),
            Err(error) => Ending::Failed {
                error: error::error_type(&error),
                text: error::sentence(&error, &place(&job.uri)),
            },
        }
    }

    async fn exchange(
        &self,
        client: pool::PoolClient,
        job: &Job,
        attempt: &Attempt,
        secret: Option<&Secret>,
        at: Instant,
        now: u64,
    ) -> Result<Answer, SendError> {
        let http = &self.shared.http;
        let bounds = Bounds {
            at,
            headers: http.headers_timeout,
            body: http.body_timeout,
            body_cap: http.max_response_body,
        };
        let mut client = self.traced.map(|()| Deadline::new(client, bounds));
        let mut request = request(job, secret, now);
        forward_context(job, &self.shared.propagation, request.headers_mut());
        // Through a tunnel the destination would see it; there it goes with CONNECT.
        let proxy = proxy_of(http, &job.uri).filter(|_| job.uri.scheme_str() == Some("http"));
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let response = client.attempt(request, attempt).await?;
        if proxy.is_some() && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(SendError::ProxyRefused);
        }
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        let retry_after =
            if head.status.is_success() { None } else { retry_after(status, &head.headers, now) };
        let keep = job.result_ttl.map(|_| &self.shared.results);
        let kept = read(body, &head.headers, keep, http.max_response_body).await;
        Ok(Answer { status, retry_after, kept })
    }
}

impl Shared {
    /// The jobs of a proxy that fails only wait; that it fails, and that it works again, is told once.
    fn watch_proxy(&self, uri: &Uri, result: &Result<Answer, SendError>) {
        if proxy_of(&self.http, uri).is_none() {
            return;
        }
        match result {
            Ok(_) if self.proxy_fails.swap(false, Ordering::Relaxed) => {
                info!("the proxy does its part again")
            }
            Err(error)
                if error::error_type(error) == ErrorType::Proxy
                    && !self.proxy_fails.swap(true, Ordering::Relaxed) =>
            {
                let error = error::sentence(error, &place(uri));
                warn!(error, "the proxy fails: its jobs wait, at no cost of an attempt");
            }
            _ => {}
        }
    }
}

/// Reads a body to its end or to the cap, so that the connection can be used again and the span is whole. The answer
/// stands in the head: a body that breaks off costs the connection, and shows in the span.
async fn read<B: Body<Data = Bytes>>(
    body: B,
    headers: &HeaderMap,
    keep: Option<&KeptResults>,
    cap: usize,
) -> Option<Box<Kept>> {
    let mut body = pin!(body);
    let (mut start, mut length, mut broken) = (BytesMut::new(), 0, false);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            broken = true;
            break;
        };
        if let (Some(keep), Ok(data)) = (keep, frame.into_data()) {
            length += data.len();
            let room = keep.max_body.saturating_sub(start.len());
            start.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    let keep = keep?;
    let truncated = broken || length > start.len() || length >= cap;
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
    request
}

/// The producer's context as it came, for those who may have it; where this attempt has a span, that takes its place.
fn forward_context(job: &Job, policy: &Propagation, headers: &mut HeaderMap) {
    let mut forward = |name, value: &Option<Bytes>| {
        if let Some(Ok(value)) = value.clone().map(HeaderValue::from_maybe_shared) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let context = &job.context;
    if policy.traces_to(&job.uri) {
        forward("traceparent", &context.traceparent);
        forward("tracestate", &context.tracestate);
    }
    if context.baggage.is_some() && policy.baggage_to(&job.uri) {
        forward("baggage", &context.baggage);
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &Bytes) {
    if let Ok(value) = HeaderValue::from_maybe_shared(value.clone()) {
        headers.entry(HeaderName::from_static(name)).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    async fn kept(parts: Vec<Result<&'static [u8], ()>>, max_body: usize) -> (Bytes, bool) {
        let frames = parts.into_iter().map(|part| part.map(|data| Frame::data(Bytes::from_static(data))));
        let keep = KeptResults { headers: vec![], max_body };
        let body = StreamBody::new(stream::iter(frames));
        let kept = read(body, &HeaderMap::new(), Some(&keep), 100).await.expect("it is asked for");
        (kept.body, kept.truncated)
    }

    #[tokio::test]
    async fn what_is_kept_of_a_body_says_whether_it_is_whole() {
        let whole = (Bytes::from_static(b"abcd"), false);
        assert_eq!(kept(vec![Ok(b"ab"), Ok(b"cd")], 4).await, whole);
        assert_eq!(kept(vec![Ok(b"ab"), Ok(b"cde")], 4).await, (Bytes::from_static(b"abcd"), true));
        assert_eq!(
            kept(vec![Ok(b"ab"), Err(())], 4).await,
            (Bytes::from_static(b"ab"), true),
            "it broke off"
        );
        assert_eq!(kept(vec![Err(())], 4).await, (Bytes::new(), true));
        assert_eq!(kept(vec![], 4).await, (Bytes::new(), false));
    }
}
