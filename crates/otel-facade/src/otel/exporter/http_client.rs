//! The client that the official exporters use for OTLP over HTTP. It takes certificates from files, and keeps what an
//! error of the exporter leaves out.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_http::{Bytes, HttpClient, HttpError, ResponseBodyTooLarge};

use super::connector::Connector;
use super::mistake::Mistake;
use super::observer::{HttpFailure, ResponseObserver};
use super::refusal::with_causes;
use crate::Signal;

/// OTLP responses are small. A longer one comes from something else.
const RESPONSE_BYTES_MAX: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct HyperClient {
    client: Client<Connector, Full<Bytes>>,
    headers: HeaderMap,
    observer: Arc<ResponseObserver>,
}

impl HyperClient {
    pub(super) fn new(signal: &Signal, connector: Connector, observer: Arc<ResponseObserver>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(super::USER_AGENT));
        for (name, value) in &signal.headers.0 {
            if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, headers, observer }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = self.client.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await.map_err(|error| {
            // The exporter does not retry after this error.
            if error.is::<LengthLimitError>() { ResponseBodyTooLarge::new().into() } else { error }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

#[tonic::async_trait]
impl HttpClient for HyperClient {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Replaces the headers that the exporter takes from the environment.
        let by_exporter = std::mem::replace(request.headers_mut(), self.headers.clone());
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            if let Some(value) = by_exporter.get(&name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        let result = self.exchange(request).await;
        let failure = match &result {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(HttpFailure::Status(response.status().as_u16())),
            Err(error) => Some(HttpFailure::Error(with_causes(&**error))),
        };
        self.observer.http_attempt(failure, result.as_ref().ok().and_then(mistake));
        result
    }
}

/// A gRPC server answers any path with status 200 and an empty body. A server with TLS answers a plain request in words.
fn mistake(response: &Response<Bytes>) -> Option<Mistake> {
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let body = response.body();
    if content_type.starts_with(b"application/grpc") {
        Some(Mistake::SpeaksGrpc)
    } else if response.status() == StatusCode::BAD_REQUEST && body.windows(5).any(|word| word == b"HTTPS") {
        Some(Mistake::SpeaksTls)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_shows_a_server_of_another_kind() {
        let response = |status: u16, content_type: &str, body: &'static str| {
            let builder = Response::builder().status(status).header(CONTENT_TYPE, content_type);
            builder.body(Bytes::from_static(body.as_bytes())).expect("it is a response")
        };
        assert_eq!(mistake(&response(200, "application/grpc", "")), Some(Mistake::SpeaksGrpc));
        let of_go = "Client sent an HTTP request to an HTTPS server.\n";
        assert_eq!(mistake(&response(400, "text/plain", of_go)), Some(Mistake::SpeaksTls));
        assert_eq!(mistake(&response(400, "text/plain", "bad")), None);
        assert_eq!(mistake(&response(200, "application/x-protobuf", "")), None);
    }
}
