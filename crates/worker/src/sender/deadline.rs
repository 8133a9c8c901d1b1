//! The deadline of an attempt, inside the traced service, so that what ends an attempt passes its span as an
//! error.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client, ResponseFuture};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use super::body::AttemptBody;
use super::connector::Connector;
use super::error::SendError;

/// A client for one attempt.
#[derive(Debug)]
pub(super) struct Deadline {
    client: Client<Connector, Full<Bytes>>,
    at: Instant,
    body_cap: usize,
}

impl Deadline {
    pub(super) fn new(client: Client<Connector, Full<Bytes>>, at: Instant, body_cap: usize) -> Self {
        Self { client, at, body_cap }
    }
}

impl Service<Request<Full<Bytes>>> for Deadline {
    type Response = Response<AttemptBody<Incoming>>;
    type Error = SendError;
    type Future = DeadlineFuture;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), SendError>> {
        self.client.poll_ready(task).map_err(SendError::from)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> DeadlineFuture {
        DeadlineFuture {
            response: self.client.request(request),
            sleep: sleep_until(self.at.into()),
            at: self.at,
            body_cap: self.body_cap,
        }
    }
}

pin_project! {
    pub(super) struct DeadlineFuture {
        #[pin]
        response: ResponseFuture,
        #[pin]
        sleep: Sleep,
        at: Instant,
        body_cap: usize,
    }
}

impl Future for DeadlineFuture {
    type Output = Result<Response<AttemptBody<Incoming>>, SendError>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.response.poll(task) {
            let result: Result<Response<Incoming>, legacy::Error> = result;
            let (at, cap) = (*this.at, *this.body_cap);
            return Poll::Ready(
                result
                    .map(|response| response.map(|body| AttemptBody::new(body, at, cap)))
                    .map_err(SendError::from),
            );
        }
        this.sleep.poll(task).map(|()| Err(SendError::Timeout))
    }
}
