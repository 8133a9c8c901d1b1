//! The request of a job.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request};
use hyper_otel::Propagation;
use postrider_queue::job::Job;
use serde::de::IgnoredAny;

use super::Credentials;

/// The default `user-agent`.
const AGENT: &str = concat!("postrider/", env!("CARGO_PKG_VERSION"));
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LABEL: HeaderName = HeaderName::from_static("postrider-label");
/// Bytes of a body that are parsed to find out whether it is JSON.
const JSON_BYTES_MAX: usize = 64 * 1024;

/// The request of a job, with what identifies it. `now` is in Unix milliseconds.
pub(super) fn request(job: &Job, credentials: &Credentials<'_>, now: u64) -> Request<Bytes> {
    let mut request = Request::new(job.body.clone());
    *request.method_mut() = job.method.clone();
    *request.uri_mut() = job.uri.clone();
    let headers = request.headers_mut();
    *headers = job.headers.clone();
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    // A destination that parses JSON refuses it without this header. Producers know the type of other bodies.
    if !headers.contains_key(CONTENT_TYPE) && is_json(&job.body) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    // RFC 9110 §8.6: these methods anticipate a body, and some servers refuse them without a length (411).
    if job.body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(&job.method) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    set(headers, IDEMPOTENCY_KEY, &job.id);
    set(headers, LABEL, &job.label);
    if let Some(secret) = credentials.secret {
        secret.apply(headers, &job.id, &job.body, now);
    }
    if let Some(token) = &credentials.token {
        headers.insert(AUTHORIZATION, token.clone());
    }
    request
}

/// Whether a body is a JSON object or list as a whole. A longer one is not parsed.
fn is_json(body: &[u8]) -> bool {
    let text = match body {
        [b'{' | b'[', ..] if body.len() <= JSON_BYTES_MAX => std::str::from_utf8(body).ok(),
        _ => None,
    };
    text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Forwards the producer's context to hosts that may receive it. If this attempt has a span, that replaces it.
pub(super) fn forward_context(job: &Job, policy: &Propagation, headers: &mut HeaderMap) {
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

fn set(headers: &mut HeaderMap, name: HeaderName, value: &Bytes) {
    if let Ok(value) = HeaderValue::from_maybe_shared(value.clone()) {
        headers.entry(name).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_body_that_is_json_as_a_whole_is_called_so() {
        for json in ["{}", "[1,\"é\"]", "[]\n", r#"{"a":[{"b":null}]}"#] {
            assert!(is_json(json.as_bytes()), "{json}");
        }
        for other in ["", "x", "[section]\nkey = 1", "{name}", "{} {}", "{\"a\":}", "1", "[1", " {}"] {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
        assert!(!is_json(b"[\"\xff\"]"));
        let long = |length: usize| format!("[\"{}\"]", "x".repeat(length - 4));
        assert!(is_json(long(JSON_BYTES_MAX).as_bytes()) && !is_json(long(JSON_BYTES_MAX + 1).as_bytes()));
    }
}
