//! The beginning of an exchange: its span, and the context of its request.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, Uri};
use otel_facade::{Attributes, Context, Propagators, Span, SpanKind, semconv};

use crate::attempt_span::AttemptSpan;
use crate::headers::Headers;
use crate::hooks::RequestHead;
use crate::recorder::Recorder;
use crate::series::{HostSeries, Measured, Target};
use crate::url::{bare, host_and_port, implied_port};

/// What the caller knows of an attempt and the request does not contain. If the client is called as a service, it may be
/// among the request's extensions.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Attempt {
    /// The span that the attempt is a child of. Default: the current one.
    pub parent: Option<Context>,
    /// The number of times that this request was sent before. Default: 0.
    pub resend_count: u32,
    /// The path with names for its variable parts, as `/users/{id}`: it becomes a part of the span's name. Must
    /// come from code, not from the path. Default: none.
    pub template: Option<Arc<str>>,
}

impl Attempt {
    /// Sets [`parent`](Self::parent).
    #[must_use]
    pub fn parent(mut self, parent: Context) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Sets [`resend_count`](Self::resend_count).
    #[must_use]
    pub fn resend_count(mut self, resend_count: u32) -> Self {
        self.resend_count = resend_count;
        self
    }

    /// Sets [`template`](Self::template).
    #[must_use]
    pub fn template(mut self, template: impl Into<Arc<str>>) -> Self {
        self.template = Some(template.into());
        self
    }
}

impl Recorder {
    /// Begins an exchange, and writes its context to the headers. `None` where it is not recorded.
    pub(crate) fn begin(self: &Arc<Self>, head: &RequestHead<'_>, attempt: &Attempt) -> Option<AttemptSpan> {
        if !self.telemetry.is_on() || otel_facade::is_suppressed() || self.options.excluded.has(head.uri) {
            return None;
        }
        let known = self.options.methods.known(head.method);
        let (host, port) = server(head.uri, head.headers);
        let host_series = self.series.host(host);
        let span = self.span(known, (host, port), &host_series, head, attempt);
        if span.is_recording() {
            self.options.hooks.request(&span, head);
        }
        let method = known.unwrap_or("_OTHER");
        // `_OTHER` hosts keep only the usual ports; else the number of series would have no bound.
        let is_shown = !host_series.is_other() || [80, 443].contains(&port);
        let target = Target { method, port: if is_shown { port } else { 0 } };
        let active = self.series.active(&host_series, target);
        Some(AttemptSpan {
            span,
            recorder: Arc::clone(self),
            began: Instant::now(),
            host: host_series,
            measured: Measured { target, status: 0, version: None, error: None },
            head: None,
            ended: false,
            made: None,
            used: None,
            _active: active,
        })
    }

    fn span(
        &self,
        known: Option<&'static str>,
        (host, port): (&str, u16),
        series: &HostSeries,
        head: &RequestHead<'_>,
        attempt: &Attempt,
    ) -> Span {
        let name = known.unwrap_or("HTTP");
        let builder = match &attempt.template {
            None => self.telemetry.span(SpanKind::Client, name),
            Some(template) => self.telemetry.span(SpanKind::Client, format!("{name} {template}")),
        };
        let builder = match &attempt.parent {
            Some(parent) => builder.parent(parent),
            None => builder,
        };
        builder.start(|attributes| {
            attributes.set(semconv::HTTP_REQUEST_METHOD, known.unwrap_or("_OTHER"));
            if series.is_other() {
                attributes.set(semconv::SERVER_ADDRESS, host.to_owned());
            } else {
                attributes.set(semconv::SERVER_ADDRESS, Arc::clone(&series.name));
            }
            if port != 0 {
                attributes.set(semconv::SERVER_PORT, port);
            }
            attributes.set(semconv::URL_FULL, self.options.redaction.apply(head.uri));
            if known.is_none() {
                attributes.set(semconv::HTTP_REQUEST_METHOD_ORIGINAL, head.method.as_str().to_owned());
            }
            self.describe_attempt(head, attempt, attributes);
        })
    }

    fn describe_attempt(&self, head: &RequestHead<'_>, attempt: &Attempt, attributes: &mut Attributes) {
        if attempt.resend_count > 0 {
            attributes.set(semconv::HTTP_REQUEST_RESEND_COUNT, attempt.resend_count);
        }
        if let Some(template) = &attempt.template {
            attributes.set(semconv::URL_TEMPLATE, Arc::clone(template));
        }
        self.options.captured.of_request(head.headers, |key, values| attributes.set(key, values));
    }

    /// Writes the context of an exchange to the headers of its request, as far as the host may receive it.
    pub(crate) fn inject(&self, exchange: &AttemptSpan, uri: &Uri, map: &mut HeaderMap) {
        let policy = &self.options.propagation;
        let (traces, baggage) = (policy.traces_to(uri), policy.baggage_to(uri));
        if traces || baggage {
            let what = Propagators::NONE.trace_context(traces).baggage(baggage);
            exchange.span.inject(&mut Headers { map, traces, baggage }, what);
        }
    }
}

/// Host and port, from the URL or else from the header `host`. An unknown port is 0.
fn server<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> (&'a str, u16) {
    if let Some(authority) = uri.authority() {
        let (host, port) = host_and_port(authority.as_str());
        return (bare(host), port.or_else(|| implied_port(uri)).unwrap_or(0));
    }
    let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match host.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (bare(host), port.parse().unwrap_or(0)),
        _ => (bare(host), 80),
    }
}

/// The head of a request.
pub(crate) fn head<B>(request: &http::Request<B>) -> RequestHead<'_> {
    let (method, uri): (&Method, &Uri) = (request.method(), request.uri());
    RequestHead { method, uri, headers: request.headers(), extensions: request.extensions() }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_server_is_named_by_the_url_or_by_the_header() {
        let server = |uri: &str, host: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(host.map(|host| (http::header::HOST, HeaderValue::from_static(host))));
            let uri: Uri = uri.parse().unwrap();
            let (host, port) = super::server(&uri, &headers);
            (host.to_owned(), port)
        };
        assert_eq!(server("https://a.test/", Some("b.test")), ("a.test".to_owned(), 443));
        assert_eq!(server("http://[::1]:8080/", None), ("::1".to_owned(), 8080));
        assert_eq!(server("/path", Some("b.test:81")), ("b.test".to_owned(), 81));
        assert_eq!(server("/path", Some("[::1]")), ("::1".to_owned(), 80));
        assert_eq!(server("/path", None), (String::new(), 80));
    }
}
