//! The future of a response.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::body::TracedBody;
use crate::exchange::Exchange;

pin_project! {
    /// Resolves to the response, whose body carries the span on. Dropped before, it ends the span as a
    /// cancellation.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        exchange: Option<Exchange>,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn new(inner: F, exchange: Exchange) -> Self {
        Self { inner, exchange: Some(exchange) }
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
        // The span is current while the client works, for the `tracing` spans of libraries below it.
        let entered = this.exchange.as_ref().map(|exchange| exchange.span.enter());
        let polled = this.inner.poll(task);
        drop(entered);
        let result = ready!(polled);
        let mut exchange = this.exchange.take().expect("a future is not polled after it is ready");
        Poll::Ready(match result {
            Ok(response) => {
                exchange.head(&response);
                Ok(response.map(|body| TracedBody::new(body, exchange)))
            }
            Err(error) => {
                exchange.broke(&error);
                Err(error)
            }
        })
    }
}
