//! The deadlines of an attempt, inside the traced service, so that the span records a timeout as an error.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::ResponseFuture;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use super::body::{AttemptBody, AttemptBounds};
use super::dialled;
use super::error::{Phase, SendError};
use super::pool::PoolClient;
use super::upload::{Progress, Upload};

/// A client for one attempt.
#[derive(Debug)]
pub(super) struct Deadline {
    client: Arc<PoolClient>,
    bounds: AttemptBounds,
    progress: Arc<Progress>,
}

impl Deadline {
    pub(super) fn new(client: Arc<PoolClient>, bounds: AttemptBounds, progress: Arc<Progress>) -> Self {
        Self { client, bounds, progress }
    }
}

impl Service<Request<Bytes>> for Deadline {
    type Response = Response<AttemptBody<Incoming>>;
    type Error = SendError;
    type Future = DeadlineFuture;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> DeadlineFuture {
        let (began, progress) = (self.progress.began(), Arc::clone(&self.progress));
        let request = request.map(|body| Upload::new(body, Arc::clone(&progress)));
        let first = self.bounds.headers.map_or(self.bounds.at, |headers| self.bounds.at.min(began + headers));
        DeadlineFuture {
            response: self.client.request(request),
            sleep: sleep_until(first.into()),
            bounds: self.bounds,
            progress,
        }
    }
}

pin_project! {
    pub(super) struct DeadlineFuture {
        #[pin]
        response: ResponseFuture,
        #[pin]
        sleep: Sleep,
        bounds: AttemptBounds,
        progress: Arc<Progress>,
    }
}

impl Future for DeadlineFuture {
    type Output = Result<Response<AttemptBody<Incoming>>, SendError>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (polled, dialled) = dialled::watch(|| this.response.poll(task));
        if let Some(dialling) = dialled {
            this.progress.dialled(dialling);
        }
        if let Poll::Ready(result) = polled {
            return Poll::Ready(match result {
                Ok(response) => {
                    this.progress.answered();
                    Ok(response.map(|body| AttemptBody::new(body, *this.bounds)))
                }
                Err(error) => {
                    let connection = this.progress.connection(error.is_connect());
                    Err(SendError::Client { error, connection })
                }
            });
        }
        loop {
            ready!(this.sleep.as_mut().poll(task));
            match overdue(*this.bounds, this.progress, Instant::now()) {
                Ok(error) => return Poll::Ready(Err(error)),
                // The connection took the request after this timer was set.
                Err(later) => this.sleep.as_mut().reset(later.into()),
            }
        }
    }
}

/// The timeout that has expired, or when to check again.
fn overdue(bounds: AttemptBounds, progress: &Progress, now: Instant) -> Result<SendError, Instant> {
    let phase = match progress.taken() {
        None => Phase::Connection,
        Some(_) if !progress.is_sent() => Phase::Upload,
        Some(_) => Phase::Headers,
    };
    if now >= bounds.at {
        return Ok(SendError::Timeout { phase, limit: None });
    }
    let Some(headers) = bounds.headers else { return Err(bounds.at) };
    // Connecting has its own deadlines. Until it is done, check again one limit later.
    let until = bounds.at.min(progress.taken().unwrap_or(now) + headers);
    if now < until { Err(until) } else { Ok(SendError::Timeout { phase, limit: Some(headers) }) }
}
