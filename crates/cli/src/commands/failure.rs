//! How a command that fails ends: what it prints, and its exit code.

use std::process::ExitCode;
use std::time::SystemTime;

use postrider_queue::ConnectError;
use postrider_worker::{EngineError, RunError};
use serde_json::json;
use telemetry::{Escape, StartError, print_line, printable};

/// An argument is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Prints an error with its causes.
pub(super) fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    print_line(&printable(&format!("error: {}", with_causes(error)), Escape::Text));
    code(error)
}

/// Prints an error as the log lines are: in JSON.
pub(super) fn failed_as_line(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    print_as_line(&with_causes(error));
    code(error)
}

/// Prints a message as the log lines are: in JSON.
pub(super) fn print_as_line(message: &str) {
    let timestamp = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    let line = json!({"timestamp": timestamp, "level": "ERROR", "message": message});
    print_line(&printable(&line.to_string(), Escape::Json));
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(text(error), |all, cause| format!("{all}: {}", text(cause)))
}

/// Redis' own words, without the client's name for their kind.
fn text(error: &(dyn std::error::Error + 'static)) -> String {
    error
        .downcast_ref::<postrider_queue::Error>()
        .map_or_else(|| error.to_string(), |error| error.details().to_owned())
}

fn code(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let usage = error.is::<Usage>()
        || matches!(error.downcast_ref(), Some(StartError::LogFilter(_)))
        || matches!(error.downcast_ref(), Some(ConnectError::Url(_)))
        || matches!(error.downcast_ref(), Some(RunError::Engine(EngineError::Connect(ConnectError::Url(_)))));
    ExitCode::from(if usage { 2 } else { 4 })
}
