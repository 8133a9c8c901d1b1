//! Why a receiver did not accept an export. The texts contain codes and causes, never the receiver's own text, which may
//! repeat a header.

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use super::mistake::Mistake;
use super::observer::{ConnectionState, HttpFailure, PartialSuccess, ResponseObserver};

/// Why an export was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Refusal {
    /// The receiver does not know this signal, and will not soon.
    Unimplemented(String),
    /// The configuration points to something else than a receiver.
    Misdirected(Mistake),
    /// Retries did not help until the timeout, or another attempt would not help.
    Failed(String),
}

/// The outcome of an export, by the exporter's result and by what was observed during it.
pub(in super::super) fn outcome(
    result: OTelSdkResult,
    observer: &ResponseObserver,
) -> Result<PartialSuccess, Refusal> {
    let observed = observer.take();
    if let Some(mistake) = observed.wrong_response {
        return Err(Refusal::Misdirected(mistake));
    }
    let Err(error) = result else { return Ok(observed.partial.unwrap_or_default()) };
    if let ConnectionState::Mistaken(mistake) = observed.connection {
        return Err(Refusal::Misdirected(mistake));
    }
    Err(match (observed.http_failure, error) {
        (Some(HttpFailure::Error(error)), _) => Refusal::Failed(error),
        (Some(HttpFailure::Status(status)), _) if matches!(status, 404 | 405 | 501) => {
            Refusal::Unimplemented(answered_with(status))
        }
        (Some(HttpFailure::Status(status)), _) => Refusal::Failed(answered_with(status)),
        (None, OTelSdkError::InternalFailure(text)) => over_grpc(&text),
        (None, other) => Refusal::Failed(other.to_string()),
    })
}

/// Why an export has failed that was ended from outside, and so has no result.
pub(in super::super) fn outcome_of_ended(reason: String, observer: &ResponseObserver) -> Refusal {
    let observed = observer.take();
    match (observed.wrong_response, observed.connection, observed.http_failure) {
        (Some(mistake), ..) | (_, ConnectionState::Mistaken(mistake), _) => Refusal::Misdirected(mistake),
        (_, ConnectionState::Failed(error), _) | (.., Some(HttpFailure::Error(error))) => {
            Refusal::Failed(error)
        }
        (.., Some(HttpFailure::Status(status))) => Refusal::Failed(answered_with(status)),
        (None, ConnectionState::Fine, None) => Refusal::Failed(reason),
    }
}

fn answered_with(status: u16) -> String {
    format!("the receiver answered with status {status}")
}

/// The code is in the error's text: `… failed with gRPC code: Unavailable`. The causes follow where the receiver was
/// not reached: `… failed with gRPC code: Unavailable: connection refused`.
fn over_grpc(text: &str) -> Refusal {
    let Some((_, code)) = text.split_once("gRPC code: ") else { return Refusal::Failed(text.to_owned()) };
    match code.split_once(": ") {
        Some((_, causes)) => Refusal::Failed(causes.to_owned()),
        None if code == "Unimplemented" => Refusal::Unimplemented(format!("the receiver answered {code}")),
        None => Refusal::Failed(format!("the receiver answered {code}")),
    }
}

/// An error with its causes, for instance `dns error: no such host`. The errors of the HTTP client and the connector contain
/// no header and no path.
pub(super) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_grpc_is_read_from_the_error() {
        let text = |code: &str| format!("TonicTracesClient export failed with gRPC code: {code}");
        let answered = |code: &str| format!("the receiver answered {code}");
        assert_eq!(over_grpc(&text("Unimplemented")), Refusal::Unimplemented(answered("Unimplemented")));
        assert_eq!(over_grpc(&text("Internal")), Refusal::Failed(answered("Internal")));
        assert_eq!(over_grpc(&text("Unavailable: dns error")), Refusal::Failed("dns error".to_owned()));
        assert_eq!(over_grpc("other"), Refusal::Failed("other".to_owned()));
    }

    #[test]
    fn a_wrong_connection_explains_a_failure_and_spoils_no_success() {
        let observer = ResponseObserver::default();
        observer.connection(ConnectionState::Mistaken(Mistake::SpeaksTls));
        assert!(outcome(Ok(()), &observer).is_ok());
        let failure = Err(OTelSdkError::InternalFailure("why".to_owned()));
        assert_eq!(outcome(failure, &observer).err(), Some(Refusal::Misdirected(Mistake::SpeaksTls)));
    }

    #[test]
    fn an_export_that_is_ended_fails_by_what_was_seen_last() {
        let observer = ResponseObserver::default();
        let ended = || outcome_of_ended("in time".to_owned(), &observer);
        assert_eq!(ended(), Refusal::Failed("in time".to_owned()));
        observer.http_attempt(Some(HttpFailure::Status(503)), None);
        assert_eq!(ended(), Refusal::Failed(answered_with(503)));
        observer.connection(ConnectionState::Failed("refused".to_owned()));
        assert_eq!(ended(), Refusal::Failed("refused".to_owned()));
    }

    #[test]
    fn a_wrong_response_spoils_a_success() {
        let observer = ResponseObserver::default();
        observer.http_attempt(None, Some(Mistake::SpeaksGrpc));
        assert_eq!(outcome(Ok(()), &observer).err(), Some(Refusal::Misdirected(Mistake::SpeaksGrpc)));
        assert!(outcome(Ok(()), &observer).is_ok(), "it is forgotten with its export");
    }
}
