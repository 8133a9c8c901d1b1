//! The future of a response.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::attempt_span::AttemptSpan;
use crate::body::TracedBody;
use crate::watch;

pin_project! {
    /// Resolves to the response, whose body keeps the span. Dropping it earlier ends the span as a cancellation.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        // `None` where the exchange is not recorded.
        exchange: Option<AttemptSpan>,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn new(inner: F, exchange: Option<AttemptSpan>) -> Self {
        Self { inner, exchange }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
    R::Error: Error + 'static,
    E: Error + 'static,
{
    type Output = Result<Response<TracedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.exchange {
            None => this.inner.poll(task),
            Some(exchange) => exchange.poll(|| this.inner.poll(task)),
        };
        let result = ready!(polled);
        let Some(mut exchange) = this.exchange.take() else {
            return Poll::Ready(result.map(|response| response.map(TracedBody::unrecorded)));
        };
        Poll::Ready(match result {
            Ok(response) if exchange.head(&response) => Ok(response.map(TracedBody::unrecorded)),
            Ok(response) => Ok(response.map(|body| TracedBody::new(body, exchange))),
            Err(error) => {
                exchange.fail(&error);
                Err(error)
            }
        })
    }
}

impl AttemptSpan {
    fn poll<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        if !self.span.is_recording() {
            return poll();
        }
        // The span is current while the client works, for the `tracing` spans of libraries below it.
        let entered = self.span.enter();
        let (polled, made) = watch::request(poll);
        drop(entered);
        if made.is_some() {
            self.recorder.connector_is_traced();
            self.made = made;
        }
        polled
    }
}
