//! Prints what is known of a job that `postrider send` enqueued.

use std::process::ExitCode;

use postrider_queue::{JobResult, Publication};
use serde_json::{Value, json};

use super::super::results;

/// The outcome of the job, as far as it is known.
pub(super) struct Report {
    pub(super) publication: Publication,
    pub(super) label: Option<String>,
    pub(super) queue: String,
    pub(super) outcome: &'static str,
    pub(super) result: Option<JobResult>,
    /// The state of a job that is not done yet, and why.
    pub(super) why: Option<String>,
}

impl Report {
    fn trace_id(&self) -> Option<&str> {
        let worker = self.result.as_ref().and_then(|result| result.trace_id.as_deref());
        self.publication.trace_id.as_deref().or(worker)
    }

    pub(super) fn json(&self) -> Value {
        let result = self.result.as_ref();
        let job_id = self.publication.entry.to_string();
        json!({
            "job_id": job_id,
            "label": self.label.as_ref().unwrap_or(&job_id),
            "queue": self.queue,
            "trace_id": self.trace_id(),
            "outcome": self.outcome,
            "status": result.and_then(|result| result.status),
            "attempts": result.map(|result| result.attempts),
            "reason": result.and_then(|result| result.reason.as_deref()),
            "error": result.and_then(|result| result.error.as_deref()),
            "why": self.why,
            "result": result,
        })
    }

    pub(super) fn text(&self) -> String {
        let job_id = self.publication.entry;
        let mut text = match (&self.result, self.outcome) {
            (Some(result), _) => results::line(result),
            (None, "waiting") => {
                let why = self.why.as_ref().map_or(String::new(), |why| format!(" ({why})"));
                format!("not done yet{why}; the job continues without this command")
            }
            _ => return job_id.to_string(),
        };
        text = format!("{job_id}  {text}");
        if let Some(trace_id) = self.trace_id() {
            text.push_str("  trace ");
            text.push_str(trace_id);
        }
        if let Some(answer) = self.result.as_ref().and_then(results::answer) {
            text.push('\n');
            text.push_str(&answer);
        }
        text
    }

    pub(super) fn code(&self) -> ExitCode {
        match self.outcome {
            "dead" => ExitCode::from(1),
            "waiting" => ExitCode::from(3),
            _ => ExitCode::SUCCESS,
        }
    }
}
