//! The service around a client.

use std::error::Error;
use std::task::{Context as Task, Poll};

use http::{HeaderName, Method, Request, Response, Uri};
use http_body::Body;
use telemetry::{Attributes, Context, ErrorType, Histogram, Span, SpanKind, Telemetry, Timer, semconv};
use tower_service::Service;

use crate::error_type::error_type;
use crate::exchange::Exchange;
use crate::future::ResponseFuture;
use crate::headers::Headers;
use crate::url::{port, redacted};

/// A client whose every request is a span. Cheap to clone where the client is.
#[derive(Clone, Debug)]
pub struct Traced<S> {
    inner: S,
    telemetry: Telemetry,
    duration: Histogram,
    classify: fn(&(dyn Error + 'static)) -> ErrorType,
}

/// What the caller knows of an attempt and the request does not say.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The span that the attempt is a child of. Default: the current one.
    pub parent: Option<Context>,
    /// How often this request has been sent before. Default: 0.
    pub resend_count: u32,
}

impl<S> Traced<S> {
    /// Wraps a client.
    pub fn new(inner: S, telemetry: &Telemetry) -> Self {
        let duration = telemetry.histogram(
            semconv::HTTP_CLIENT_REQUEST_DURATION,
            "s",
            "Duration of HTTP client requests",
            semconv::REQUEST_SECONDS,
        );
        Self { inner, telemetry: telemetry.clone(), duration, classify: error_type }
    }

    /// Names errors with a function of the caller's, for errors of layers of its own. Default:
    /// [`error_type`](crate::error_type).
    #[must_use]
    pub fn classify(mut self, classify: fn(&(dyn Error + 'static)) -> ErrorType) -> Self {
        self.classify = classify;
        self
    }

    /// The same around another client: one made for a single attempt, say.
    pub fn map<T>(&self, client: impl FnOnce(&S) -> T) -> Traced<T> {
        Traced {
            inner: client(&self.inner),
            telemetry: self.telemetry.clone(),
            duration: self.duration.clone(),
            classify: self.classify,
        }
    }

    /// Sends a request, with what the caller knows of it.
    pub fn attempt<B, R>(&mut self, mut request: Request<B>, attempt: &Attempt) -> ResponseFuture<S::Future>
    where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Error + 'static,
        R: Body,
        R::Error: Error + 'static,
    {
        let (span, timer) = self.begin(&request, attempt);
        let context = span.context();
        if context.is_some() {
            let headers = request.headers_mut();
            headers.remove(HeaderName::from_static("traceparent"));
            headers.remove(HeaderName::from_static("tracestate"));
            context.inject(&mut Headers(headers));
        }
        let exchange = Exchange { span, timer: Some(timer), classify: self.classify };
        ResponseFuture::new(self.inner.call(request), exchange)
    }

    fn begin<B>(&self, request: &Request<B>, attempt: &Attempt) -> (Span, Timer) {
        let (method, uri) = (request.method(), request.uri());
        let name = known_method(method);
        let builder = self.telemetry.span(SpanKind::Client, name.unwrap_or("HTTP"));
        let builder = match &attempt.parent {
            Some(parent) => builder.parent(parent),
            None => builder,
        };
        let span = builder.start(|attributes| {
            describe(name, uri, attributes);
            attributes.set(semconv::URL_FULL, redacted(uri));
            if name.is_none() {
                attributes.set(semconv::HTTP_REQUEST_METHOD_ORIGINAL, method.as_str().to_owned());
            }
            if attempt.resend_count > 0 {
                attributes.set(semconv::HTTP_REQUEST_RESEND_COUNT, attempt.resend_count);
            }
        });
        (span, self.duration.time(|attributes| describe(name, uri, attributes)))
    }
}

/// What span and metric share.
fn describe(method: Option<&'static str>, uri: &Uri, attributes: &mut Attributes) {
    attributes.set(semconv::HTTP_REQUEST_METHOD, method.unwrap_or("_OTHER"));
    attributes.set(semconv::SERVER_ADDRESS, uri.host().unwrap_or_default().to_owned());
    if let Some(port) = port(uri) {
        attributes.set(semconv::SERVER_PORT, port);
    }
}

/// The methods of RFC 9110, PATCH and QUERY; exactly as written, since methods are case-sensitive.
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 10] =
        ["POST", "GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY"];
    KNOWN.into_iter().find(|known| *known == method.as_str())
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.attempt(request, &Attempt::default())
    }
}
