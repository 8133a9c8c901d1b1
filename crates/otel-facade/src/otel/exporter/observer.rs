//! Observes a receiver's responses beside the exporter's result.
//!
//! The exporters report partial success, responses that they cannot read, and retries only as events of `tracing`.
//! This crate's subscriber collects them while an export is polled. The names of events and fields are upstream's;
//! the end-to-end tests of refusals fail when an upgrade changes them.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber};

use super::mistake::Mistake;

/// Characters of a receiver's message that are logged.
const MESSAGE_CHARS_MAX: usize = 200;

/// Collects what one signal's exporter, HTTP client and connector see.
#[derive(Debug, Default)]
pub(in super::super) struct ResponseObserver(Mutex<Observed>);

#[derive(Debug, Default)]
pub(super) struct Observed {
    /// The receiver accepted only a part.
    pub(super) partial: Option<PartialSuccess>,
    /// The last HTTP response that is not a success, or the last error of the HTTP client.
    pub(super) http_failure: Option<HttpFailure>,
    /// The last response shows that the receiver is not the one that is expected.
    pub(super) wrong_response: Option<Mistake>,
    /// Stays until another connection shows another state.
    pub(super) connection: ConnectionState,
    /// An attempt has failed, and the exporter waits before the next.
    retrying: bool,
}

/// What the last connection has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// No fault is known.
    #[default]
    Fine,
    /// The other end is something else than expected.
    Mistaken(Mistake),
    /// It could not be made. The error with its causes.
    Failed(String),
}

/// How many items the receiver rejected, and its reason: one line, cut.
#[derive(Debug, Default)]
pub(in super::super) struct PartialSuccess {
    pub(in super::super) rejected: u64,
    pub(in super::super) message: String,
}

#[derive(Debug)]
pub(super) enum HttpFailure {
    Status(u16),
    /// No response. The error with its causes.
    Error(String),
}

impl ResponseObserver {
    /// The subscriber under which exports have to be polled.
    pub(in super::super) fn subscriber(self: &Arc<Self>) -> Dispatch {
        Dispatch::new(ExportEvents(self.clone()))
    }

    /// Forgets what earlier exports left.
    pub(in super::super) fn begin(&self) {
        self.take();
    }

    pub(in super::super) fn is_retrying(&self) -> bool {
        self.lock().retrying
    }

    pub(super) fn take(&self) -> Observed {
        let mut observed = self.lock();
        let connection = observed.connection.clone();
        std::mem::replace(&mut observed, Observed { connection, ..Observed::default() })
    }

    pub(super) fn connection(&self, state: ConnectionState) {
        self.lock().connection = state;
    }

    /// One attempt over HTTP has ended.
    pub(super) fn http_attempt(&self, failure: Option<HttpFailure>, mistake: Option<Mistake>) {
        let mut observed = self.lock();
        observed.http_failure = failure;
        observed.wrong_response = mistake;
    }

    fn lock(&self) -> MutexGuard<'_, Observed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct ExportEvents(Arc<ResponseObserver>);

/// The events of interest.
enum ExportEvent {
    PartialSuccess,
    UnreadableResponse,
    FailedOverGrpc,
    Retrying,
}

impl ExportEvent {
    fn of(metadata: &Metadata<'_>) -> Option<Self> {
        if metadata.target() != "opentelemetry-otlp" {
            return None;
        }
        // The part before is the name of the exporter's client, for instance `TonicTracesClient`.
        Some(match metadata.name().rsplit('.').next()? {
            "PartialSuccess" => Self::PartialSuccess,
            "ResponseParseError" => Self::UnreadableResponse,
            "ExportFailed" => Self::FailedOverGrpc,
            "Retrying" | "Throttled" => Self::Retrying,
            _ => return None,
        })
    }
}

impl Subscriber for ExportEvents {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && ExportEvent::of(metadata).is_some()
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn event(&self, event: &Event<'_>) {
        let Some(kind) = ExportEvent::of(event.metadata()) else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut observed = self.0.lock();
        match kind {
            ExportEvent::PartialSuccess => observed.partial = Some(fields.partial),
            ExportEvent::UnreadableResponse => observed.wrong_response = Some(Mistake::NotOtlp),
            ExportEvent::FailedOverGrpc if fields.is_http => {
                observed.wrong_response = Some(Mistake::SpeaksHttp)
            }
            ExportEvent::FailedOverGrpc => {}
            ExportEvent::Retrying => observed.retrying = true,
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields {
    partial: PartialSuccess,
    /// A gRPC exporter got the response of an HTTP server.
    is_http: bool,
}

impl Visit for Fields {
    /// `rejected_spans`, `rejected_data_points` or `rejected_log_records`.
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name().starts_with("rejected_") {
            self.partial.rejected = u64::try_from(value).unwrap_or_default();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "error_message" => {
                let visible = value.chars().filter(|character| !character.is_control());
                self.partial.message = visible.take(MESSAGE_CHARS_MAX).collect();
            }
            // The message may be the receiver's and is not kept.
            "grpc_message" => self.is_http = is_http_response(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// Whether tonic reports a response that is not gRPC. Statuses from 429 on may come from a proxy before a receiver
/// that is down.
fn is_http_response(grpc_message: &str) -> bool {
    let mapped = grpc_message.strip_prefix("grpc-status header missing, mapped from HTTP status code ");
    mapped.is_some_and(|status| ["400", "404", "405", "415"].contains(&status))
        || grpc_message.contains("invalid compression flag")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_of_http_is_known_by_the_text_of_tonic() {
        let mapped = |status| format!("grpc-status header missing, mapped from HTTP status code {status}");
        assert!(is_http_response(&mapped(404)));
        assert!(!is_http_response(&mapped(503)), "a proxy may say so of a receiver that is down");
        assert!(!is_http_response("unknown service"));
    }

    #[test]
    fn what_an_export_saw_is_forgotten_with_the_next_except_the_connection() {
        let observer = ResponseObserver::default();
        observer.connection(ConnectionState::Mistaken(Mistake::SpeaksTls));
        observer.http_attempt(Some(HttpFailure::Status(400)), Some(Mistake::SpeaksGrpc));
        observer.begin();
        let observed = observer.take();
        assert!(observed.http_failure.is_none() && observed.wrong_response.is_none());
        assert_eq!(observed.connection, ConnectionState::Mistaken(Mistake::SpeaksTls));
        observer.connection(ConnectionState::Fine);
        assert_eq!(observer.take().connection, ConnectionState::Fine);
    }
}
