//! A job of the delivery log.

use postrider_queue::admin::LoggedJob;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A job that has ended, as its queue's delivery log keeps it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogView {
    /// The queue, and its shard if that is not the first: `mail`, `mail/1`.
    pub queue: String,
    /// The job id.
    pub job_id: String,
    /// The producer's own name for the job.
    pub label: Option<String>,
    /// The id of the dead letter that was replayed as this job.
    pub replay_of: Option<String>,
    /// The job id of the callback that reports its end.
    pub callback: Option<String>,
    /// The job id of the job whose end it reports.
    pub callback_of: Option<String>,
    /// The host of its URL.
    pub host: Option<String>,
    /// `succeeded`, `dead` or `cancelled`.
    pub outcome: &'static str,
    /// Why it is dead.
    pub reason: Option<String>,
    /// The status of the last attempt.
    pub status: Option<u16>,
    /// How many attempts were made.
    pub attempts: u32,
    /// When it was enqueued, Unix milliseconds.
    pub enqueued_at: Option<u64>,
    /// When it ended, Unix milliseconds.
    pub ended_at: u64,
    /// Its trace.
    pub trace_id: Option<String>,
    /// Its attempts.
    #[schema(value_type = Vec<Object>)]
    pub history: Value,
}

impl LogView {
    /// Of a job.
    pub fn new(job: &LoggedJob) -> Self {
        let record = &job.record;
        let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        Self {
            queue: job.queue.to_string(),
            job_id: record.job_id.to_string(),
            label: text(&record.label),
            replay_of: text(&record.replay_of),
            callback: text(&record.callback),
            callback_of: text(&record.callback_of),
            host: text(&record.host),
            outcome: record.outcome(),
            reason: text(&record.reason),
            status: record.status,
            attempts: record.attempts,
            enqueued_at: (record.enqueued_at > 0).then_some(record.enqueued_at),
            ended_at: job.ended_at,
            trace_id: text(&record.trace_id),
            history: record.history_json(),
        }
    }
}
