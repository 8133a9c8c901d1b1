//! How a signal travels: one message there, one answer back, within the signal's timeout. OTLP over gRPC and
//! over HTTP, by the same TLS and the same client.
//!
//! Not the official exporters: they hide partial success and refusals for good, take certificates only in code,
//! and read the environment behind the configuration's back.
//!
//! OTLP specification 1.9, §OTLP/gRPC and §OTLP/HTTP.

mod grpc;
mod http;
mod tls;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::Uri;
use bytes::Bytes;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{Protocol, Signal};

/// The wait before the second attempt; it doubles with each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often it is tried again once the end has come, and how long is waited before each.
const LAST_ATTEMPTS: u32 = 2;
const LAST_PAUSE: Duration = Duration::from_millis(200);
/// A collector that is gone without a word is noticed within so long.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const USER_AGENT: &str = concat!("postrider-telemetry/", env!("CARGO_PKG_VERSION"));

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Traces,
    Metrics,
    Logs,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }
}

/// Why a message was not taken. The texts name codes and causes, never what the receiver wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The receiver does not know this signal, and will not from one minute to the next.
    Unimplemented(String),
    /// It was tried as often as the timeout allowed, or is not worth another attempt.
    Failed(String),
}

/// What came of one attempt.
enum Attempt {
    Taken(Bytes),
    /// Not now; after the time that the receiver asks for.
    Later(String, Option<Duration>),
    Never(Refusal),
}

/// The way to the receiver of one signal. Cheap to clone; may be used from any thread.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    way: Arc<Way>,
    server: Arc<str>,
    runtime: Handle,
    timeout: Duration,
    /// Set when the end has come: then nothing is waited for any more.
    closing: watch::Receiver<bool>,
}

#[derive(Debug)]
enum Way {
    Grpc(grpc::Grpc),
    Http(http::Http),
}

type HttpClient<B> = Client<HttpsConnector<HttpConnector>, B>;

impl Transport {
    /// Connects when the first message is sent, on that runtime.
    pub(super) fn new(
        kind: Kind,
        signal: &Signal,
        runtime: &Handle,
        closing: watch::Receiver<bool>,
    ) -> Result<Self, String> {
        let uri: Uri =
            signal.endpoint.parse().map_err(|error| format!("the endpoint is not a URL: {error}"))?;
        let server = server(&uri).into();
        let way = match signal.protocol {
            Protocol::Grpc => Way::Grpc(grpc::Grpc::new(kind, signal, uri)?),
            Protocol::HttpProtobuf => Way::Http(http::Http::new(signal, uri)?),
        };
        Ok(Self { way: Arc::new(way), server, runtime: runtime.clone(), timeout: signal.timeout, closing })
    }

    /// Where it leads, as it may be shown.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Sends an encoded request and gives back the encoded answer.
    pub(super) async fn send(&self, message: Vec<u8>) -> Result<Bytes, Refusal> {
        let transport = self.clone();
        let sent = self.runtime.spawn(async move { transport.deliver(message.into()).await });
        sent.await.unwrap_or_else(|_| Err(Refusal::Failed("the exporters were stopped".to_owned())))
    }

    async fn deliver(mut self, message: Bytes) -> Result<Bytes, Refusal> {
        let message = match &*self.way {
            Way::Grpc(_) => message,
            Way::Http(http) => http.compressed(message),
        };
        let deadline = Instant::now() + self.timeout;
        let (mut pause, mut last_attempts) = (FIRST_PAUSE, LAST_ATTEMPTS);
        loop {
            let attempt = match timeout_at(deadline, self.attempt(message.clone())).await {
                Ok(attempt) => attempt,
                Err(_) => return Err(Refusal::Failed(format!("no answer within {:?}", self.timeout))),
            };
            let (reason, after) = match attempt {
                Attempt::Taken(answer) => return Ok(answer),
                Attempt::Never(refusal) => return Err(refusal),
                Attempt::Later(reason, after) => (reason, after),
            };
            let mut wait = after.unwrap_or_else(|| jittered(pause));
            pause = (pause * 2).min(LONGEST_PAUSE);
            let is_closing = *self.closing.borrow_and_update();
            if is_closing {
                wait = wait.min(LAST_PAUSE);
                last_attempts = last_attempts.saturating_sub(1);
            }
            if last_attempts == 0 || Instant::now() + wait >= deadline {
                return Err(Refusal::Failed(reason));
            }
            tokio::select! {
                () = sleep(wait) => {}
                _ = self.closing.changed(), if !is_closing => {}
            }
        }
    }

    async fn attempt(&self, message: Bytes) -> Attempt {
        match &*self.way {
            Way::Grpc(grpc) => grpc.attempt(message).await,
            Way::Http(http) => http.attempt(message).await,
        }
    }
}

/// Scheme, host and port. A user, a path or a query may be a secret.
fn server(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default())
}

/// From a half of it to the whole, so that workers that failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    pause / 2 + pause / 2 * (nanos % 1000) / 1000
}

fn client<B>(signal: &Signal, uri: &Uri, http2: bool) -> Result<HttpClient<B>, String>
where
    B: http_body_util::BodyExt + Send,
    B::Data: Send,
{
    let connector = tls::connector(signal, uri, http2)?;
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_only(http2)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE / 2)
        .build(connector))
}

/// An error with its causes, as `dns error: no such host`. The client's errors name no header and no path.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_named_without_what_may_be_secret() {
        let shown = |text: &str| server(&text.parse().expect("it is a URL"));
        assert_eq!(
            shown("https://me:hunter2@otlp.example:443/hunter2?key=hunter2"),
            "https://otlp.example:443"
        );
        assert_eq!(shown("http://[::1]:4317"), "http://[::1]:4317");
        assert_eq!(shown("https://otlp.example/v1/traces"), "https://otlp.example");
    }
}
