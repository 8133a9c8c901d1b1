//! A span of kind `SERVER` for each request, and its duration.

use std::borrow::Cow;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use http::{HeaderMap, Method};
use telemetry::{Attributes, Carrier, ErrorType, Histogram, Span, SpanKind, Telemetry, semconv};

/// Records requests as the HTTP conventions say (semantic conventions 1.44.0, `docs/http/http-spans.md`, HTTP server).
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    telemetry: Telemetry,
    duration: Histogram,
}

impl Requests {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let telemetry = telemetry.scoped(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let name = semconv::HTTP_SERVER_REQUEST_DURATION;
        let duration =
            telemetry.histogram(name, "s", "Duration of HTTP server requests.", semconv::REQUEST_SECONDS);
        Self { telemetry, duration }
    }

    /// Begins the span of a request. Its parent is the caller's context.
    pub(crate) fn begin(&self, request: &Request) -> Recorded {
        let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let method = known_method(request.method());
        let parent = self.telemetry.extract(&Received(request.headers()));
        let name = match (method, &route) {
            (method, Some(route)) => format!("{} {route}", method.unwrap_or("HTTP")),
            (method, None) => method.unwrap_or("HTTP").to_owned(),
        };
        let called = Called { method, route };
        let span = self.telemetry.span(SpanKind::Server, name).parent(&parent).start(|attributes| {
            called.describe(attributes);
            attributes.set(semconv::URL_PATH, request.uri().path().to_owned());
        });
        Recorded { began: Instant::now(), span, called, duration: self.duration.clone() }
    }
}

/// What span and duration say alike.
#[derive(Debug)]
struct Called {
    method: Option<&'static str>,
    route: Option<String>,
}

impl Called {
    fn describe(&self, attributes: &mut Attributes) {
        attributes.set(semconv::HTTP_REQUEST_METHOD, self.method.unwrap_or("_OTHER"));
        attributes.set(semconv::URL_SCHEME, "http");
        if let Some(route) = &self.route {
            attributes.set(semconv::HTTP_ROUTE, route.clone());
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Recorded {
    began: Instant,
    span: Span,
    called: Called,
    duration: Histogram,
}

impl Recorded {
    /// Answers the request. The span is the parent of what this does.
    pub(crate) async fn answer(self, answer: impl Future<Output = Response>) -> Response {
        let response = self.span.run(answer).await;
        let status = response.status().as_u16();
        self.span.set(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status));
        // Of a server, only its own failures are errors: 5xx.
        let error = (status >= 500).then_some(ErrorType::Status(status));
        if let Some(error) = &error {
            self.span.fail_with(error, || Cow::Borrowed(""));
        }
        self.duration.record(self.began.elapsed().as_secs_f64(), |attributes| {
            self.called.describe(attributes);
            attributes.set(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status));
            if let Some(error) = &error {
                attributes.set(semconv::ERROR_TYPE, error);
            }
        });
        response
    }
}

/// `None` for a method that the conventions call `_OTHER`.
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}

struct Received<'a>(&'a HeaderMap);

impl Carrier for Received<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())?.to_str().ok()
    }

    fn joined(&self, name: &str) -> Option<Cow<'_, str>> {
        let values: Vec<_> = self.0.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(",").into())
    }

    /// Does nothing: a request that was received is not changed.
    fn set(&mut self, _: &'static str, _: String) {}
}
