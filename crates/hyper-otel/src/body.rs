//! The body of a response, whose end ends the span.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::attempt_span::AttemptSpan;

pin_project! {
    /// A response's body. Its end ends the span. Dropping it earlier ends the span, too.
    #[derive(Debug)]
    pub struct TracedBody<B> {
        #[pin]
        inner: B,
        exchange: Option<AttemptSpan>,
    }
}

impl<B> TracedBody<B> {
    /// A body that is not recorded.
    pub(crate) fn unrecorded(inner: B) -> Self {
        Self { inner, exchange: None }
    }
}

impl<B: Body> TracedBody<B> {
    pub(crate) fn new(inner: B, mut exchange: AttemptSpan) -> Self {
        if inner.is_end_stream() {
            exchange.complete_with_head();
            return Self { inner, exchange: None };
        }
        Self { inner, exchange: Some(exchange) }
    }
}

impl<B> Body for TracedBody<B>
where
    B: Body,
    B::Error: Error + 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(task));
        let ended = match &frame {
            Some(Ok(_)) => this.inner.is_end_stream(),
            Some(Err(_)) | None => true,
        };
        if ended && let Some(mut exchange) = this.exchange.take() {
            match &frame {
                Some(Err(error)) => exchange.fail(error),
                _ => exchange.complete(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
