//! OTLP over HTTP with protobuf bodies, plain or gzipped.

use std::convert::Infallible;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::admin::plain;
use crate::store::{PARTIAL_MESSAGE, Protocol, Signal, Store, Verdict};
use crate::{flatten, serve};

pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    store: Arc<Store>,
) -> std::io::Result<()> {
    serve::serve(listener, tls, move |request| answer(request, Arc::clone(&store))).await
}

async fn answer(request: Request<Incoming>, store: Arc<Store>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    store.keep(Protocol::Http, head.uri.path(), &head.headers);
    let Ok(body) = body.collect().await else { return Ok(plain(StatusCode::BAD_REQUEST, "no body")) };
    let body = body.to_bytes();
    let signal = match (head.method.as_str(), head.uri.path()) {
        ("POST", "/v1/traces") => Signal::Traces,
        ("POST", "/v1/metrics") => Signal::Metrics,
        ("POST", "/v1/logs") => Signal::Logs,
        _ => return Ok(plain(StatusCode::NOT_FOUND, "POST /v1/traces, /v1/metrics or /v1/logs")),
    };
    let is_gzip = head.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip");
    let Some(items) = items(signal, &body, is_gzip) else {
        return Ok(plain(StatusCode::BAD_REQUEST, "not an OTLP message"));
    };
    Ok(match store.take(Protocol::Http, signal, items.len(), || items).await {
        Verdict::Taken { rejected } => taken(rejected),
        Verdict::Unavailable => plain(StatusCode::SERVICE_UNAVAILABLE, "set by the test"),
        Verdict::Later(wait) => later(wait),
        Verdict::Page => page(),
        Verdict::Unimplemented => plain(StatusCode::NOT_FOUND, "set by the test"),
    })
}

fn items(signal: Signal, body: &[u8], is_gzip: bool) -> Option<Vec<Value>> {
    let mut inflated = Vec::new();
    let message = if is_gzip {
        GzDecoder::new(body).read_to_end(&mut inflated).ok()?;
        inflated.as_slice()
    } else {
        body
    };
    match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(message).ok().map(flatten::spans),
        Signal::Metrics => ExportMetricsServiceRequest::decode(message).ok().map(flatten::metrics),
        Signal::Logs => ExportLogsServiceRequest::decode(message).ok().map(flatten::logs),
    }
}

/// The responses of all signals have the same encoding: a count in field 1, a text in field 2.
fn taken(rejected: u64) -> Response<Full<Bytes>> {
    let partial = ExportTracePartialSuccess {
        rejected_spans: rejected.cast_signed(),
        error_message: PARTIAL_MESSAGE.to_owned(),
    };
    let body = ExportTraceServiceResponse { partial_success: (rejected > 0).then_some(partial) };
    let mut response = Response::new(Full::new(Bytes::from(body.encode_to_vec())));
    let kind = HeaderValue::from_static("application/x-protobuf");
    response.headers_mut().insert("content-type", kind);
    response
}

fn page() -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::OK, "<!DOCTYPE html><html><body>Please log in</body></html>");
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// `retry-after` is in whole seconds, as HTTP requires.
fn later(wait: Duration) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "set by the test");
    response.headers_mut().insert("retry-after", HeaderValue::from(wait.as_secs()));
    response
}
