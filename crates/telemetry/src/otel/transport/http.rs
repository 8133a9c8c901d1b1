//! OTLP over HTTP, with protobuf bodies.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};

use super::{Attempt, HttpClient, Refusal, client, with_causes};
use crate::{Compression, Signal};

/// An OTLP answer is small; what is longer comes from something else.
const MOST_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Http {
    client: HttpClient<Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    gzip: bool,
}

impl Http {
    pub(super) fn new(signal: &Signal, uri: Uri) -> Result<Self, String> {
        let gzip = signal.compression == Compression::Gzip;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(super::USER_AGENT));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        for (name, value) in &signal.headers.0 {
            if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        Ok(Self { client: client(signal, &uri, false)?, uri, headers, gzip })
    }

    /// Once, for all attempts.
    pub(super) fn compressed(&self, message: Bytes) -> Bytes {
        if !self.gzip {
            return message;
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 4), flate2::Compression::fast());
        encoder
            .write_all(&message)
            .and_then(|()| encoder.finish())
            .expect("a vector takes what is written to it")
            .into()
    }

    pub(super) async fn attempt(&self, message: Bytes) -> Attempt {
        let mut request = Request::new(Full::new(message));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => return Attempt::Later(with_causes(&error), None),
        };
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            return refused(head.status, &head.headers);
        }
        match Limited::new(body, MOST_BYTES).collect().await {
            Ok(body) => Attempt::Taken(body.to_bytes()),
            Err(error) => Attempt::Never(Refusal::Failed(format!("its answer broke off: {error}"))),
        }
    }
}

/// §Failures and §Retryable Response Codes.
fn refused(status: StatusCode, headers: &HeaderMap) -> Attempt {
    let reason = format!("the receiver answered with status {}", status.as_u16());
    match status.as_u16() {
        429 | 502..=504 => {
            let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Attempt::Later(reason, after.map(Duration::from_secs))
        }
        404 | 405 | 501 => Attempt::Never(Refusal::Unimplemented(reason)),
        _ => Attempt::Never(Refusal::Failed(reason)),
    }
}
