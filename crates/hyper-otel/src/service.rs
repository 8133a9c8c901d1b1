//! The service around a client.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use http::{Request, Response};
use http_body::Body;
use otel_facade::Telemetry;
use tower_layer::Layer;
use tower_service::Service;

use crate::begin::{Attempt, head};
use crate::future::ResponseFuture;
use crate::options::Options;
use crate::recorder::Recorder;

/// A client that records every request. Cheap to clone if the client is.
#[derive(Clone, Debug)]
pub struct Traced<S> {
    inner: S,
    recorder: Arc<Recorder>,
}

impl<S> Traced<S> {
    /// Wraps a client, with the default options. The environment is not read: see [`Options::from_env`].
    pub fn new(inner: S, telemetry: &Telemetry) -> Self {
        Self::with_options(inner, telemetry, Options::default())
    }

    /// Wraps a client, with these options.
    pub fn with_options(inner: S, telemetry: &Telemetry, options: Options) -> Self {
        Self { inner, recorder: Arc::new(Recorder::new(telemetry, options)) }
    }

    /// The same around another client, such as one for a single attempt.
    pub fn map<T>(&self, client: impl FnOnce(&S) -> T) -> Traced<T> {
        Traced { inner: client(&self.inner), recorder: Arc::clone(&self.recorder) }
    }

    /// Sends a request, with what the caller knows of it.
    pub fn attempt<B, R>(&mut self, mut request: Request<B>, attempt: &Attempt) -> ResponseFuture<S::Future>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Error + 'static,
        R: Body,
        R::Error: Error + 'static,
    {
        let exchange = self.recorder.begin(&head(&request), attempt);
        if let Some(exchange) = &exchange {
            let mut headers = std::mem::take(request.headers_mut());
            self.recorder.inject(exchange, request.uri(), &mut headers);
            *request.headers_mut() = headers;
        }
        ResponseFuture::new(self.inner.call(request), exchange)
    }
}

impl<S, B, R> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Error + 'static,
    R: Body,
    R::Error: Error + 'static,
{
    type Response = Response<crate::TracedBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let attempt = request.extensions_mut().remove::<Attempt>().unwrap_or_default();
        self.attempt(request, &attempt)
    }
}

/// Makes [`Traced`] clients, for stacks of tower layers. All clients of one layer share their metrics.
#[derive(Clone, Debug)]
pub struct TracedLayer(Arc<Recorder>);

impl TracedLayer {
    /// Makes clients that record with this handle.
    pub fn new(telemetry: &Telemetry, options: Options) -> Self {
        Self(Arc::new(Recorder::new(telemetry, options)))
    }
}

impl<S> Layer<S> for TracedLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner, recorder: Arc::clone(&self.0) }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};

    use super::*;

    /// Answers with what it is sent.
    struct Echo;

    impl Service<Request<Full<Bytes>>> for Echo {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
            let (head, body) = request.into_parts();
            let mut response = Response::new(body);
            *response.headers_mut() = head.headers;
            ready(Ok(response))
        }
    }

    #[tokio::test]
    async fn while_telemetry_is_off_a_request_goes_as_it_came() {
        let mut traced = Traced::with_options(Echo, &Telemetry::disabled(), Options::default());
        let request = Request::post("http://a.test/").header("traceparent", "as it came");
        let response = traced.call(request.body(Full::from("hello")).unwrap()).await.unwrap();
        assert_eq!(
            (response.headers().len(), &response.headers()["traceparent"]),
            (1, &"as it came".parse().unwrap())
        );
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    }
}
