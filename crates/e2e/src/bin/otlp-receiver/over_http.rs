//! OTLP over HTTP with protobuf bodies, plain or gzipped.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::admin::{accept, plain};
use crate::flatten;
use crate::store::{PARTIAL_MESSAGE, Protocol, Signal, Store, Verdict};

pub(crate) async fn serve(listener: TcpListener, store: Arc<Store>) -> std::io::Result<()> {
    accept(listener, store, answer).await
}

async fn answer(
    request: Request<Incoming>,
    store: Arc<Store>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let signal = match (head.method.as_str(), head.uri.path()) {
        ("POST", "/v1/traces") => Signal::Traces,
        ("POST", "/v1/metrics") => Signal::Metrics,
        _ => return Ok(plain(StatusCode::NOT_FOUND, "POST /v1/traces or /v1/metrics")),
    };
    let is_gzip = head.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip");
    let Some(items) = items(signal, &body, is_gzip) else {
        return Ok(plain(StatusCode::BAD_REQUEST, "not an OTLP message"));
    };
    Ok(match store.take(Protocol::Http, signal, items).await {
        Verdict::Taken { rejected } => taken(signal, rejected),
        Verdict::Unavailable => plain(StatusCode::SERVICE_UNAVAILABLE, "the test said so"),
        Verdict::Unimplemented => plain(StatusCode::NOT_FOUND, "the test said so"),
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
    }
}

fn taken(signal: Signal, rejected: u64) -> Response<Full<Bytes>> {
    let error_message = PARTIAL_MESSAGE.to_owned();
    let rejected = rejected.cast_signed();
    let body = match signal {
        Signal::Traces => {
            let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message };
            ExportTraceServiceResponse { partial_success: (rejected > 0).then_some(partial) }.encode_to_vec()
        }
        Signal::Metrics => {
            let partial = ExportMetricsPartialSuccess { rejected_data_points: rejected, error_message };
            ExportMetricsServiceResponse { partial_success: (rejected > 0).then_some(partial) }
                .encode_to_vec()
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let kind = http::HeaderValue::from_static("application/x-protobuf");
    response.headers_mut().insert("content-type", kind);
    response
}
