//! Functions of the caller that see each recorded exchange.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use otel_facade::{ErrorType, Span, guarded};

/// Functions that are called with the span of an exchange, to set their own attributes. They run only where the
/// span is recorded. If one panics, the exchange goes on, and the first panic is logged.
#[derive(Clone, Default)]
pub struct Hooks {
    request: Option<RequestHook>,
    response: Option<ResponseHook>,
    error: Option<ErrorHook>,
}

type RequestHook = Arc<dyn Fn(&Span, &RequestHead<'_>) + Send + Sync>;
type ResponseHook = Arc<dyn Fn(&Span, &ResponseHead<'_>) + Send + Sync>;
type ErrorHook = Arc<dyn Fn(&Span, &(dyn std::error::Error + 'static), &ErrorType) + Send + Sync>;

/// The head of a request, before context is written to it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URL.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The request's extensions.
    pub extensions: &'a Extensions,
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The response's extensions.
    pub extensions: &'a Extensions,
}

impl Hooks {
    /// Called with each request, after the span has begun.
    #[must_use]
    pub fn on_request(mut self, hook: impl Fn(&Span, &RequestHead<'_>) + Send + Sync + 'static) -> Self {
        self.request = Some(Arc::new(hook));
        self
    }

    /// Called with the head of each response.
    #[must_use]
    pub fn on_response(mut self, hook: impl Fn(&Span, &ResponseHead<'_>) + Send + Sync + 'static) -> Self {
        self.response = Some(Arc::new(hook));
        self
    }

    /// Called with each error that ends an exchange, and with its `error.type`.
    #[must_use]
    pub fn on_error(
        mut self,
        hook: impl Fn(&Span, &(dyn std::error::Error + 'static), &ErrorType) + Send + Sync + 'static,
    ) -> Self {
        self.error = Some(Arc::new(hook));
        self
    }

    pub(crate) fn request(&self, span: &Span, head: &RequestHead<'_>) {
        if let Some(hook) = &self.request {
            guarded("the request hook of HTTP telemetry", || hook(span, head));
        }
    }

    pub(crate) fn response(&self, span: &Span, head: &ResponseHead<'_>) {
        if let Some(hook) = &self.response {
            guarded("the response hook of HTTP telemetry", || hook(span, head));
        }
    }

    pub(crate) fn error(&self, span: &Span, error: &(dyn std::error::Error + 'static), named: &ErrorType) {
        if let Some(hook) = &self.error {
            guarded("the error hook of HTTP telemetry", || hook(span, error, named));
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = [
            ("request", self.request.is_some()),
            ("response", self.response.is_some()),
            ("error", self.error.is_some()),
        ];
        f.debug_set().entries(set.iter().filter(|(_, set)| *set).map(|(name, _)| name)).finish()
    }
}
