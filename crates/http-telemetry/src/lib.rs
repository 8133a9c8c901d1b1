//! A tower service that makes every HTTP attempt an OpenTelemetry span and a duration metric.
//!
//! [`Traced`] wraps any client that is a `tower_service::Service` of `http` requests, hyper-util's among them:
//!
//! ```no_run
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use http_telemetry::{Attempt, Traced};
//! use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
//! use hyper_util::rt::TokioExecutor;
//! use telemetry::Telemetry;
//!
//! # async fn run() -> Result<(), Error> {
//! let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
//! let mut traced = Traced::new(client, &Telemetry::global());
//! let request = http::Request::post("http://localhost:8080/").body(Full::default()).expect("a valid request");
//! let response = traced.attempt(request, &Attempt::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! | what | value |
//! |---|---|
//! | span | kind `CLIENT`, named as the method; from the call to the end of the response's body |
//! | attributes | `http.request.method`, `server.address`, `server.port`, `url.full` (redacted); where they apply `http.response.status_code`, `network.protocol.version`, `http.request.resend_count`, `http.request.method_original`, `error.type` |
//! | status | `Error` for a status code of 400 and above and for whatever kept the exchange from its end; a dropped future or body is a cancellation and leaves it unset |
//! | metric | `http.client.request.duration` in seconds, of the same length |
//! | request | `traceparent` and `tracestate` of the span; what it carried before is replaced |
//!
//! Semantic conventions 1.44.0, `docs/http/http-spans.md`. What it does not do: it neither retries nor follows
//! redirects. Deadlines and limits belong inside the service and the body that it wraps, so that what ends an
//! attempt is seen here as an error.

mod body;
mod error_type;
mod exchange;
mod future;
mod headers;
mod service;
mod url;

pub use body::TracedBody;
pub use error_type::{causes, error_type};
pub use future::ResponseFuture;
pub use service::{Attempt, Traced};
pub use url::redacted;
