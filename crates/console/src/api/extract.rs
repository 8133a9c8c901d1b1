//! The bodies of requests.

use std::fmt;
use std::marker::PhantomData;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use tokio::sync::SemaphorePermit;

use crate::problem::Problem;
use crate::state::Shared;

/// Bytes of a body that is no job.
const SMALL_BYTES_MAX: usize = 256 * 1024;
/// Memory is reserved for a body in pieces of this size.
const RESERVED_BYTES: usize = 64 * 1024;

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
    mut body: Body,
    most: usize,
) -> Result<(Bytes, SemaphorePermit<'a>), Problem> {
    let too_large = || {
        let detail = format!("the body is too large; send at most {most} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let detail = "`Content-Encoding`: send the body without compression";
        let problem = Problem::parameter("Content-Encoding", detail);
        return Err(problem.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    // A place is taken for what has arrived, so that a slow client takes none for what it has only announced.
    let mut place = shared.body_place(0).await?;
    let (mut bytes, mut reserved) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let cut = |_| Problem::new(StatusCode::BAD_REQUEST, "the body has not arrived as a whole");
        let Ok(data) = frame.map_err(cut)?.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > most {
            return Err(too_large());
        }
        if length > reserved {
            let more = (length - reserved).next_multiple_of(RESERVED_BYTES);
            place.merge(shared.body_place(more as u64).await?);
            reserved += more;
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), place))
}

/// [`json`], or the default if there is no body, or it is `null`.
pub(super) async fn json_or_default<T: DeserializeOwned + Default>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    if body.is_end_stream() {
        return Ok(T::default());
    }
    let (bytes, _place) = small(shared, headers, body).await?;
    if bytes.trim_ascii() == b"null" { Ok(T::default()) } else { parse(&bytes) }
}

/// Reads a JSON object of moderate size.
pub(super) async fn json<T: DeserializeOwned>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let (bytes, _place) = small(shared, headers, body).await?;
    parse(&bytes)
}

async fn small<'a>(
    shared: &'a Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, SemaphorePermit<'a>), Problem> {
    if content_type(headers).as_deref() != Some("application/json") {
        return Err(unsupported("application/json"));
    }
    read(shared, headers, body, SMALL_BYTES_MAX).await
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = object(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        let detail = format!("the body is not as expected: {error}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })
}

/// Reads a value from an object only: serde would also take a list of its members without their names.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<T, D::Error> {
    struct Members<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    reader.deserialize_map(Members(PhantomData))
}
