//! The body of a response under the attempt's deadline, cut at a cap.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::error::{Phase, SendError};

/// Limits of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptBounds {
    /// When the whole attempt ends.
    pub(super) at: Instant,
    /// Time from the connection to the head of the response.
    pub(super) headers: Option<Duration>,
    /// Time from the head of the response to the end of its body.
    pub(super) body: Duration,
    /// Bytes of the body that are read at most.
    pub(super) body_cap: usize,
}

pin_project! {
    /// A response's body. It ends at the cap as if that were its real end.
    pub(super) struct AttemptBody<B> {
        #[pin]
        inner: B,
        // Created when the body is not ready at once. Most bodies arrive with the head.
        #[pin]
        sleep: Option<Sleep>,
        at: Instant,
        limit: Option<Duration>,
        left: usize,
    }
}

impl<B> AttemptBody<B> {
    /// Its time limit starts now: the head has arrived.
    pub(super) fn new(inner: B, bounds: AttemptBounds) -> Self {
        let own = Instant::now() + bounds.body;
        let limit = (own < bounds.at).then_some(bounds.body);
        Self { inner, sleep: None, at: own.min(bounds.at), limit, left: bounds.body_cap }
    }
}

impl<B> Body for AttemptBody<B>
where
    B: Body<Data = Bytes>,
    SendError: From<B::Error>,
{
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let mut this = self.project();
        if *this.left == 0 {
            return Poll::Ready(None);
        }
        // Polls the timer first if there is one, or a body that is always ready would never end.
        let timeout = SendError::Timeout { phase: Phase::Body, limit: *this.limit };
        if this.sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(task).is_ready()) {
            return Poll::Ready(Some(Err(timeout)));
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(task) {
            return Poll::Ready(frame.map(|frame| Ok(cut(frame?, this.left))));
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until((*this.at).into())));
        }
        match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(task).map(|()| Some(Err(timeout))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn cut(frame: Frame<Bytes>, left: &mut usize) -> Frame<Bytes> {
    frame.map_data(|mut data| {
        data.truncate(*left);
        *left -= data.len();
        data
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    impl From<std::convert::Infallible> for SendError {
        fn from(never: std::convert::Infallible) -> Self {
            match never {}
        }
    }

    #[tokio::test]
    async fn a_body_is_cut_at_the_cap_and_ends_there() {
        let minute = Duration::from_secs(60);
        let bounds = AttemptBounds { at: Instant::now() + minute, headers: None, body: minute, body_cap: 4 };
        let body = AttemptBody::new(Full::new(Bytes::from_static(b"0123456789")), bounds);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "0123");
    }
}
