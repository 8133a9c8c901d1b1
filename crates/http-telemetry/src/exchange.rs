//! One exchange under way: from the request to the end of the response's body.

use std::error::Error;

use http::Response;
use telemetry::{ErrorType, Span, Timer, semconv};

/// The span and the timer of an exchange. Dropped, it ends the span as it is: that is a cancellation.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) span: Span,
    /// `None` once it has been stopped.
    pub(crate) timer: Option<Timer>,
    pub(crate) classify: fn(&(dyn Error + 'static)) -> ErrorType,
}

impl Exchange {
    /// The head of the response is there.
    pub(crate) fn head<R>(&mut self, response: &Response<R>) {
        let status = response.status();
        self.set(semconv::HTTP_RESPONSE_STATUS_CODE, status.as_u16());
        if let Some(version) = version(response.version()) {
            self.set(semconv::NETWORK_PROTOCOL_VERSION, version);
        }
        if status.is_client_error() || status.is_server_error() {
            self.fail(&ErrorType::Status(status.as_u16()));
        }
    }

    /// It came to its end, which may have been an error status.
    pub(crate) fn complete(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.stop();
        }
    }

    /// It broke off.
    pub(crate) fn broke(&mut self, error: &(dyn Error + 'static)) {
        let error = (self.classify)(error);
        self.fail(&error);
        self.complete();
    }

    fn set(&mut self, key: &'static str, value: impl Into<telemetry::Value>) {
        let value = value.into();
        self.span.set(key, value.clone());
        if let Some(timer) = &mut self.timer {
            timer.set(key, value);
        }
    }

    fn fail(&mut self, error: &ErrorType) {
        self.span.fail(error);
        if let Some(timer) = &mut self.timer {
            timer.set(semconv::ERROR_TYPE, error);
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
