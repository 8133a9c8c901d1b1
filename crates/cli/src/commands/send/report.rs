//! Prints what is known of a job that `postrider send` enqueued.

use std::process::ExitCode;

use postrider_queue::{JobResult, Publication};
use serde_json::{Value, json};

use super::super::results;
use super::super::trace_url::TraceLinks;

/// The outcome of the job, as far as it is known.
pub(super) struct Report {
    pub(super) publication: Publication,
    pub(super) label: Option<String>,
    pub(super) queue: String,
    pub(super) outcome: &'static str,
    pub(super) result: Option<JobResult>,
    /// The state of a job that is not done yet, and why.
    pub(super) why: Option<String>,
    pub(super) links: TraceLinks,
}

impl Report {
    fn trace_id(&self) -> Option<&str> {
        let worker = self.result.as_ref().and_then(|result| result.trace_id.as_deref());
        self.publication.trace_id.as_deref().or(worker)
    }

    pub(super) fn json(&self) -> Value {
        let result = self.result.as_ref();
        let job_id = self.publication.entry.to_string();
        self.links.added_to(json!({
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
        }))
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
            text.push_str(&self.links.address(trace_id).unwrap_or_else(|| trace_id.to_owned()));
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

#[cfg(test)]
mod tests {
    use postrider_queue::job::EntryId;

    use super::super::super::trace_url::TraceUrl;
    use super::*;

    #[test]
    fn the_trace_of_a_job_is_linked_if_its_address_is_known() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let report = |url: Option<&str>| Report {
            publication: Publication {
                entry: EntryId { millis: 7, sequence: 0 },
                known: false,
                shard: 0,
                trace_id: Some(trace.to_owned()),
            },
            label: None,
            queue: "mail".to_owned(),
            outcome: "succeeded",
            result: Some(JobResult { outcome: "succeeded".to_owned(), attempts: 1, ..JobResult::default() }),
            why: None,
            links: TraceUrl::at(url).links(),
        };
        let linked = report(Some("http://t/{trace_id}"));
        assert!(linked.text().ends_with(&format!("  trace http://t/{trace}")), "{}", linked.text());
        assert_eq!(linked.json()["trace_url"], format!("http://t/{trace}"));
        let plain = report(None);
        assert!(
            plain.text().ends_with(&format!("  trace {trace}")) && plain.json().get("trace_url").is_none()
        );
    }
}
