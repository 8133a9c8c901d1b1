//! What the worker takes of a response.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::response::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use postrider_queue::work::Kept;

use super::settings::KeptResults;
use crate::policy::{Answer, retry_after};

/// The answer of a destination, once its body has ended. `now` is in Unix milliseconds.
pub(super) async fn answer<B: Body<Data = Bytes>>(
    head: &Parts,
    body: Pin<&mut B>,
    keep: Option<&KeptResults>,
    cap: usize,
    now: u64,
) -> Answer {
    let status = head.status.as_u16();
    let retry_after = if head.status.is_success() { None } else { retry_after(status, &head.headers, now) };
    let kept = read(body, &head.headers, keep, cap).await;
    Answer { status, retry_after, kept }
}

/// Reads a body to its end or to the cap, so that the connection can be reused and the span is complete. The
/// head decides the outcome. A body that breaks off only costs the connection, and the span shows it.
async fn read<B: Body<Data = Bytes>>(
    mut body: Pin<&mut B>,
    headers: &HeaderMap,
    keep: Option<&KeptResults>,
    cap: usize,
) -> Option<Box<Kept>> {
    let (mut start, mut length, mut broken) = (BytesMut::new(), 0, false);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            broken = true;
            break;
        };
        if let (Some(keep), Ok(data)) = (keep, frame.into_data()) {
            length += data.len();
            let room = keep.max_body.saturating_sub(start.len());
            start.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    let keep = keep?;
    let truncated = broken || length > start.len() || length >= cap;
    let mut kept = Kept { headers: HeaderMap::new(), body: start.freeze(), truncated };
    for name in &keep.headers {
        headers.get_all(name).iter().for_each(|value| {
            kept.headers.append(name, value.clone());
        });
    }
    Some(Box::new(kept))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    async fn kept(parts: Vec<Result<&'static [u8], ()>>, max_body: usize) -> (Bytes, bool) {
        let frames = parts.into_iter().map(|part| part.map(|data| Frame::data(Bytes::from_static(data))));
        let keep = KeptResults { headers: vec![], max_body };
        let body = StreamBody::new(stream::iter(frames));
        let kept = read(pin!(body), &HeaderMap::new(), Some(&keep), 100).await.expect("a result is kept");
        (kept.body, kept.truncated)
    }

    #[tokio::test]
    async fn a_kept_body_is_marked_if_it_is_not_whole() {
        let whole = (Bytes::from_static(b"abcd"), false);
        assert_eq!(kept(vec![Ok(b"ab"), Ok(b"cd")], 4).await, whole);
        assert_eq!(kept(vec![Ok(b"ab"), Ok(b"cde")], 4).await, (Bytes::from_static(b"abcd"), true));
        assert_eq!(
            kept(vec![Ok(b"ab"), Err(())], 4).await,
            (Bytes::from_static(b"ab"), true),
            "it broke off"
        );
        assert_eq!(kept(vec![Err(())], 4).await, (Bytes::new(), true));
        assert_eq!(kept(vec![], 4).await, (Bytes::new(), false));
    }
}
