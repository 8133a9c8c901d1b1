//! One exchange under way: from the request to the end of the response's body.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use http::Response;
use hyper_util::client::legacy;
use otel_facade::{ErrorType, Span, semconv};

use crate::connections::ConnectionInfo;
use crate::error_type::causes;
use crate::hooks::ResponseHead;
use crate::names;
use crate::options::End;
use crate::phases::Phases;
use crate::recorder::Recorder;
use crate::series::{Active, HostSeries, Measured};

/// A recorded exchange. If it is dropped before the head of the response, it was cancelled: its span ends, and it is not
/// measured. If it is dropped later, it ends then.
#[derive(Debug)]
pub(crate) struct AttemptSpan {
    pub(crate) span: Span,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) began: Instant,
    pub(crate) host: Arc<HostSeries>,
    pub(crate) measured: Measured,
    pub(crate) head: Option<Instant>,
    pub(crate) ended: bool,
    /// The connection that was begun for it.
    pub(crate) made: Option<Arc<Phases>>,
    /// The connection that it uses, once that is known.
    pub(crate) used: Option<Arc<Phases>>,
    pub(crate) _active: Option<Active>,
}

impl AttemptSpan {
    /// Records the head of the response. Returns whether that ends the exchange.
    pub(crate) fn head<R>(&mut self, response: &Response<R>) -> bool {
        let now = Instant::now();
        self.head = Some(now);
        let status = response.status();
        self.measured.status = status.as_u16();
        self.measured.version = version(response.version());
        if let Some(ConnectionInfo(used)) = response.extensions().get() {
            used.acquire();
            self.used = Some(Arc::clone(used));
        }
        if self.span.is_recording() {
            self.describe_head(response, now);
        }
        if status.is_client_error() || status.is_server_error() {
            let error = ErrorType::Status(status.as_u16());
            self.span.fail(&error);
            self.measured.error = Some(error);
        }
        if self.recorder.options.end == End::Head {
            self.end(now);
        }
        self.ended
    }

    fn describe_head<R>(&self, response: &Response<R>, now: Instant) {
        let span = &self.span;
        span.set(semconv::HTTP_RESPONSE_STATUS_CODE, self.measured.status);
        if let Some(version) = self.measured.version {
            span.set(semconv::NETWORK_PROTOCOL_VERSION, version);
        }
        let first_byte = now.duration_since(self.began).as_secs_f64();
        span.set(names::FIRST_BYTE_DURATION, first_byte);
        if let Some(used) = &self.used {
            self.recorder.connector_is_traced();
            let is_own = self.made.as_ref().is_some_and(|made| Arc::ptr_eq(made, used));
            used.show(!is_own, span);
        }
        let options = &self.recorder.options;
        options.captured.of_response(response.headers(), |key, values| span.set(key, values));
        let (status, headers, extensions) = (response.status(), response.headers(), response.extensions());
        options.hooks.response(span, &ResponseHead { status, headers, extensions });
    }

    /// Ends an exchange without a body.
    pub(crate) fn complete_with_head(&mut self) {
        self.end(self.head.unwrap_or_else(Instant::now));
    }

    /// Ends the exchange, also after an error status.
    pub(crate) fn complete(&mut self) {
        self.end(Instant::now());
    }

    /// Ends the exchange with an error.
    pub(crate) fn fail(&mut self, error: &(dyn Error + 'static)) {
        let named = (self.recorder.options.classify)(error);
        if self.span.is_recording() {
            if self.head.is_none() {
                self.show_connection(error);
            }
            self.recorder.options.hooks.error(&self.span, error, &named);
        }
        match self.recorder.options.describe {
            Some(describe) => self.span.fail_with(&named, || describe(error).into()),
            None => self.span.fail(&named),
        }
        self.measured.error = Some(named);
        self.complete();
    }

    /// Without a response: shows the connection that the error names, else the parts of the one that was begun, else that
    /// an open one was used.
    fn show_connection(&self, error: &(dyn Error + 'static)) {
        let connected = causes(error).find_map(|cause| cause.downcast_ref::<legacy::Error>()?.connect_info());
        let mut extras = http::Extensions::new();
        if let Some(connected) = connected {
            connected.get_extras(&mut extras);
        }
        match (extras.get(), &self.made) {
            (Some(ConnectionInfo(used)), made) => {
                used.show(!made.as_ref().is_some_and(|made| Arc::ptr_eq(made, used)), &self.span);
            }
            (None, Some(made)) => made.show(false, &self.span),
            (None, None) if self.recorder.knows_connections() => {
                self.span.set(names::CONNECTION_REUSED, true);
            }
            (None, None) => {}
        }
    }

    fn end(&mut self, now: Instant) {
        self.ended = true;
        if let Some(head) = self.head.filter(|head| *head < now) {
            self.span.set(names::BODY_DURATION, now.duration_since(head).as_secs_f64());
        }
        let seconds = now.duration_since(self.began).as_secs_f64();
        self.recorder.series.record(&self.host, self.measured.clone(), seconds);
    }
}

impl Drop for AttemptSpan {
    fn drop(&mut self) {
        if let Some(used) = &self.used {
            used.release();
        }
        if self.head.is_some() && !self.ended {
            self.end(Instant::now());
        }
    }
}

fn version(version: http::Version) -> Option<&'static str> {
    match version {
        http::Version::HTTP_10 => Some("1.0"),
        http::Version::HTTP_11 => Some("1.1"),
        http::Version::HTTP_2 => Some("2"),
        http::Version::HTTP_3 => Some("3"),
        _ => None,
    }
}
