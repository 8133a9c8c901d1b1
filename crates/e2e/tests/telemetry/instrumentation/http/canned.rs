//! A client without a network.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{Empty, StreamBody};
use hyper::body::Frame;
use tower::Service;

pub(super) type Pieces = StreamBody<Stream>;

/// A body that arrives in pieces, a moment apart.
pub(super) struct Stream(VecDeque<io::Result<Frame<Bytes>>>, Option<Pin<Box<tokio::time::Sleep>>>);

impl futures_util::Stream for Stream {
    type Item = io::Result<Frame<Bytes>>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let moment = || Box::pin(tokio::time::sleep(Duration::from_millis(50)));
        let sleep = self.1.get_or_insert_with(moment);
        if sleep.as_mut().poll(task).is_pending() {
            return Poll::Pending;
        }
        self.1 = None;
        Poll::Ready(self.0.pop_front())
    }
}

/// Answers every request: any tower service works.
#[derive(Clone)]
pub(super) struct Canned {
    status: u16,
    breaks: bool,
    seen: Arc<std::sync::Mutex<Vec<HeaderMap>>>,
}

impl Canned {
    pub(super) fn answering(status: u16) -> Canned {
        Canned { status, breaks: false, seen: Arc::default() }
    }

    /// Ends the connection within the body.
    pub(super) fn breaking_off() -> Canned {
        Canned { breaks: true, ..Canned::answering(200) }
    }

    pub(super) fn headers(&self) -> HeaderMap {
        self.seen.lock().expect("no one panics with this lock").last().cloned().unwrap_or_default()
    }
}

impl Service<Request<Empty<Bytes>>> for Canned {
    type Response = Response<Pieces>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Empty<Bytes>>) -> Self::Future {
        self.seen.lock().expect("no one panics with this lock").push(request.headers().clone());
        let last = if self.breaks {
            Err(io::ErrorKind::ConnectionReset.into())
        } else {
            Ok(Frame::data(Bytes::from_static(b"b")))
        };
        let pieces = VecDeque::from([Ok(Frame::data(Bytes::from_static(b"a"))), last]);
        let mut response = Response::new(StreamBody::new(Stream(pieces, None)));
        *response.status_mut() = http::StatusCode::from_u16(self.status).expect("a status");
        let headers = response.headers_mut();
        headers.insert("x-answer", "yes".parse().expect("a value"));
        headers.insert("set-cookie", "id=hunter2".parse().expect("a value"));
        std::future::ready(Ok(response))
    }
}
