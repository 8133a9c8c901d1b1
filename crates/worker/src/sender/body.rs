//! The body of a response under the attempt's deadline, cut at a cap.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use super::error::SendError;

pin_project! {
    /// Ends at the cap as if it were the body's end.
    pub(super) struct AttemptBody<B> {
        #[pin]
        inner: B,
        // Made when the body lets wait; most are there with the head.
        #[pin]
        sleep: Option<Sleep>,
        at: Instant,
        left: usize,
    }
}

impl<B> AttemptBody<B> {
    pub(super) fn new(inner: B, at: Instant, cap: usize) -> Self {
        Self { inner, sleep: None, at, left: cap }
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
        if let Poll::Ready(frame) = this.inner.poll_frame(task) {
            return Poll::Ready(frame.map(|frame| Ok(cut(frame?, this.left))));
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until((*this.at).into())));
        }
        match this.sleep.as_pin_mut() {
            Some(sleep) => sleep.poll(task).map(|()| Some(Err(SendError::Timeout))),
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
    use std::time::Duration;

    use http_body_util::{BodyExt, Full};

    use super::*;

    impl From<std::convert::Infallible> for SendError {
        fn from(never: std::convert::Infallible) -> Self {
            match never {}
        }
    }

    #[tokio::test]
    async fn a_body_is_cut_at_the_cap_and_ends_there() {
        let at = Instant::now() + Duration::from_secs(60);
        let body = AttemptBody::new(Full::new(Bytes::from_static(b"0123456789")), at, 4);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "0123");
    }
}
