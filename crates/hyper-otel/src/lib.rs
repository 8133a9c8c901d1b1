//! A tower service that records every HTTP request as an OpenTelemetry span and a duration metric, and connectors that
//! record how its connection was made.
//!
//! [`Traced`] wraps any client that is a `tower_service::Service` of `http` requests, hyper-util's among them;
//! [`TracedLayer`] does the same in a stack of tower layers. It records with OpenTelemetry's global providers of the
//! process, or with those that `otel_facade::start` makes from the `OTEL_*` variables:
//!
//! ```no_run
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use hyper_otel::{
//!     Attempt, ConnectionOptions, Connections, Traced, TracedConnector, TracedResolver, TracedTcp,
//! };
//! use hyper_util::client::legacy::connect::{HttpConnector, dns::GaiResolver};
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use otel_facade::Telemetry;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = Telemetry::global();
//! let connections = Connections::new(&telemetry, ConnectionOptions::default());
//! let resolver = TracedResolver::new(GaiResolver::new(), &connections);
//! let tcp = TracedTcp::new(HttpConnector::new_with_resolver(resolver));
//! let connector = TracedConnector::new(tcp, &connections);
//! let mut builder = Client::builder(TokioExecutor::new());
//! // The client's own retries would be requests without a span.
//! let client = builder.retry_canceled_requests(false).build::<_, Full<Bytes>>(connector);
//!
//! let mut traced = Traced::new(client, &telemetry);
//! let request = http::Request::post("http://localhost:8080/users/7").body(Full::default())?;
//! let attempt = Attempt::default().template("/users/{id}");
//! let response = traced.attempt(request, &attempt).await?;
//! let body = response.into_body().collect().await?.to_bytes();
//! # Ok(())
//! # }
//! ```
//!
//! # What is emitted
//!
//! One span of kind `CLIENT` for each attempt. Its name is the method, followed by the template if there is one, or
//! `HTTP` for an unknown method. It begins with the call and ends with the response's body
//! ([`End::Body`]) or head ([`End::Head`]).
//!
//! | attribute | when |
//! |---|---|
//! | `http.request.method`, `server.address`, `server.port`, `url.full` (redacted, at most 2,048 bytes) | always, from the start |
//! | `http.request.method_original` | the method is unknown, and `http.request.method` is `_OTHER` |
//! | `http.request.resend_count` | the caller has sent the request before ([`Attempt`]) |
//! | `url.template` | the caller names one ([`Attempt`]) |
//! | `http.request.header.*`, `http.response.header.*` (lists) | asked for ([`Captured`]) |
//! | `http.response.status_code`, `network.protocol.version` | there is a response |
//! | `error.type` | a status code of 400 and above, or the error that ended the exchange ([`error_type()`]) |
//! | `network.peer.address`, `network.peer.port` (of the socket) | the connector is traced |
//! | `hyper.connection.reused` | the connector is traced: false where the connection was made for this attempt |
//! | `hyper.dns.duration`, `hyper.connect.duration`, `hyper.tls.duration` (seconds) | the connection was made for this attempt and had that part, also where it failed or was cut off |
//! | `hyper.first_byte.duration` (seconds) | from the beginning to the head of the response |
//! | `hyper.body.duration` (seconds) | from there to the end of the body |
//!
//! The status is `Error` where `error.type` is set, described by a sentence where there is no status code
//! ([`Options::describe`]). A future that is dropped is a cancellation: the status stays unset, and nothing is measured.
//! The instrumentation scope is this package's name.
//!
//! | metric | kind, unit | attributes | when |
//! |---|---|---|---|
//! | `http.client.request.duration` | histogram, `s` | `http.request.method`, `server.address`, `server.port`; `error.type`, `http.response.status_code`, `network.protocol.version` | always; as long as the span |
//! | `http.client.active_requests` | up-down counter, `{request}` | `http.request.method`, `server.address`, `server.port` | [`Options::active_requests`] |
//! | `http.client.open_connections` | up-down counter, `{connection}` | `http.connection.state`, `server.address`, `server.port` | [`ConnectionOptions::metrics`] |
//! | `http.client.connection.duration` | histogram, `s` | `server.address`, `server.port` | [`ConnectionOptions::metrics`] |
//! | `dns.lookup.duration` | histogram, `s` | `dns.question.name`; `error.type` | [`ConnectionOptions::metrics`] |
//!
//! Metrics contain the names of the first 100 hosts ([`Options::most_hosts`]) and `_OTHER` for all later ones, and at
//! most 1,000 sets of attributes. A connection is `active` from its making, or from the head of a response on it, to
//! the end of the last exchange on it.
//!
//! `traceparent`, `tracestate` and `baggage` of a request are replaced, as far as its host may receive them
//! ([`Propagation`]) and `OTEL_PROPAGATORS` names them. In an unsampled trace the request gets its own span id, which is
//! not sampled. Requests to [`Excluded`] URLs and under `otel_facade::suppress` are not recorded, and get no context.
//!
//! # What it costs
//!
//! Telemetry off: a branch. A span that is not sampled: no attribute is computed. A measurement: two lookups in small
//! tables and a bound instrument, without an allocation. A traced connector: one allocation a connection, and those
//! with which hyper-util attaches its information to each response.
//!
//! Semantic conventions 1.44.0, `docs/http/http-spans.md` and `docs/http/http-metrics.md`. It
//! neither retries nor follows redirects. Put deadlines and limits inside the service and the body that it wraps, so
//! that they end an attempt as an error.

mod attempt_span;
mod begin;
mod body;
mod capture;
mod connect;
mod connections;
mod error_type;
mod exclude;
mod future;
mod headers;
mod hooks;
mod host_pattern;
mod hosts;
mod methods;
mod names;
mod options;
mod pattern;
mod phases;
mod propagation;
mod recorder;
mod resolve;
mod series;
mod service;
mod url;
mod watch;

pub use begin::Attempt;
pub use body::TracedBody;
pub use capture::Captured;
pub use connect::{Connecting, ConnectingTcp, TracedConnection, TracedConnector, TracedTcp};
pub use connections::{ConnectionInfo, Connections, Making, OpenConnection};
pub use error_type::{causes, error_type};
pub use exclude::Excluded;
pub use future::ResponseFuture;
pub use hooks::{Hooks, RequestHead, ResponseHead};
pub use host_pattern::{BadHostPattern, HostPattern, split_port};
pub use methods::Methods;
pub use options::{ConnectionOptions, End, Options};
pub use propagation::{Propagation, Recipients};
pub use resolve::{Resolving, TracedResolver};
pub use service::{Traced, TracedLayer};
pub use url::{Redaction, is_secret, redacted};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
