//! A live job.

use postrider_queue::admin::{FoundJob, Place, ShardName};
use postrider_queue::job::Fields;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::mask::{field, fields_json, method, url};
use super::text::{plain, time};
use super::trace::trace_id;

/// What lists show of a job or a dead letter.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Summary {
    /// The queue, and its shard if that is not the first: `mail`, `mail/1`.
    pub queue: String,
    /// The job id.
    pub job_id: String,
    /// The producer's own name for the job.
    pub label: Option<String>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The method of the request.
    pub method: String,
    /// The URL of the request, with masked secrets.
    pub url: String,
}

impl Summary {
    /// Of a job with these fields.
    pub fn new(queue: &ShardName, job_id: &str, fields: &Fields) -> Self {
        Self {
            queue: queue.to_string(),
            job_id: job_id.to_owned(),
            label: field(fields, "label").map(|value| plain(value, 200)),
            attempts: attempts(fields),
            method: method(fields),
            url: url(fields),
        }
    }
}

fn attempts(fields: &Fields) -> u32 {
    field(fields, "_attempt").and_then(|made| std::str::from_utf8(made).ok()?.parse().ok()).unwrap_or(0)
}

/// A job that is ready, running, scheduled or held.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobView {
    /// What lists show.
    #[serde(flatten)]
    pub summary: Summary,
    /// `ready`, `running`, `scheduled` or `held`.
    pub state: &'static str,
    /// Its entry in the stream, while it is ready or running.
    pub entry: Option<String>,
    /// The worker that it runs on.
    pub worker: Option<String>,
    /// The flow that holds it.
    pub held_for: Option<String>,
    /// Its order key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// How many jobs of its order key are before it, with the one that has the turn, while it waits for its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    /// When a scheduled job is due, Unix milliseconds.
    pub due_at: Option<u64>,
    /// The same as RFC 3339.
    pub due: Option<String>,
    /// Why it waits, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Its trace: that of its last attempt, else its producer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// All its fields; possible secrets are masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub fields: Option<Value>,
}

impl JobView {
    /// As in a list.
    pub fn new(job: &FoundJob) -> Self {
        let mut view = Self {
            summary: Summary::new(&job.queue, &job.id, &job.fields),
            state: state_name(job),
            entry: None,
            worker: None,
            held_for: None,
            order: field(&job.fields, "order").map(|key| plain(key, 256)),
            behind: None,
            due_at: None,
            due: None,
            why: None,
            trace_id: None,
            fields: None,
        };
        match &job.place {
            Place::Ready(entry) => view.entry = Some(entry.to_string()),
            Place::Running { entry, worker, .. } => {
                (view.entry, view.worker) = (Some(entry.to_string()), Some(worker.clone()));
            }
            Place::Scheduled(at) => (view.due_at, view.due) = (*at, at.map(time)),
            Place::Held { name, .. } => view.held_for = Some(plain(name.as_bytes(), 300)),
            Place::InLine { before, .. } => view.behind = Some(*before),
        }
        view
    }

    /// With all fields, and why it waits.
    pub fn whole(job: &FoundJob, why: Option<String>, reveal: bool) -> Self {
        let trace_id = trace_id(&job.fields);
        Self { why, trace_id, fields: Some(fields_json(&job.fields, reveal)), ..Self::new(job) }
    }
}

/// The word for the state of a job.
pub fn state_name(job: &FoundJob) -> &'static str {
    match job.place {
        Place::Ready(_) => "ready",
        Place::Running { .. } => "running",
        Place::Scheduled(_) => "scheduled",
        Place::Held { .. } | Place::InLine { .. } => "held",
    }
}

/// The worker that a running job is on, or what a held one waits for; else empty.
pub fn waits_for(job: &FoundJob) -> String {
    match &job.place {
        Place::Running { worker, deliveries, .. } => {
            let worker = plain(worker.as_bytes(), 100);
            let again = if *deliveries > 1 { format!(", delivery {deliveries}") } else { String::new() };
            format!("on {worker}{again}")
        }
        Place::Held { name, .. } => format!("for {}", plain(name.as_bytes(), 256)),
        Place::InLine { key, before } => {
            format!("for its turn, behind {before} of {}", plain(key.as_bytes(), 256))
        }
        Place::Ready(_) | Place::Scheduled(_) => String::new(),
    }
}
