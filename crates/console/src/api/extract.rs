//! The bodies of requests.

use axum::body::{Body, HttpBody, to_bytes};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::SemaphorePermit;

use crate::problem::Problem;
use crate::state::Shared;

/// Bytes of a body that is no job.
const SMALL_BYTES_MAX: usize = 256 * 1024;

/// The type of the body, without parameters, in lower case.
pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// 415, with the types that are known. Forms of other sites cannot send these types, so that this also protects against
/// requests that a browser makes on behalf of another site.
pub(super) fn unsupported(known: &str) -> Problem {
    let detail = format!("send the body with `Content-Type: {known}`");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

/// Reads a body of at most `most` bytes. The second value is its place in memory.
pub(super) async fn read<'a>(
    shared: &'a Shared,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<(Bytes, SemaphorePermit<'a>), Problem> {
    let too_large = || {
        let detail = format!("the body is too large; send at most {most} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let place = shared.body_place(announced.unwrap_or(most as u64)).await?;
    match to_bytes(body, most).await {
        Ok(bytes) => Ok((bytes, place)),
        Err(error) if is_too_large(&error) => Err(too_large()),
        Err(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body has not arrived as a whole")),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>())
}

/// [`json`], or the default if there is no body.
pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    if body.is_end_stream() {
        return Ok(T::default());
    }
    json(shared, headers, body).await
}

/// Reads a JSON document of moderate size.
pub(super) async fn json<T: DeserializeOwned>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    if content_type(headers).as_deref() != Some("application/json") {
        return Err(unsupported("application/json"));
    }
    let (bytes, _place) = read(shared, headers, body, SMALL_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let detail = format!("the body is not as expected: {error}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })
}
