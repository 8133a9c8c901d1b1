//! A change that somebody made by hand.

use postrider_queue::admin::ChangeRecord;
use serde::Serialize;
use utoipa::ToSchema;

use super::text::{plain, time};

/// A change that somebody made by hand.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChangeView {
    /// Its id.
    pub id: String,
    /// When it was made, Unix milliseconds.
    pub at: u64,
    /// The same as RFC 3339.
    pub time: String,
    /// Who made it: the name of a token, `local` where no tokens are used, or `cli` and the name of the user.
    pub caller: String,
    /// `cancel`, `run_now`, `replay`, `purge`, `pause`, `resume`, `apply` or `remove`.
    pub change: String,
    /// The queue.
    pub queue: Option<String>,
    /// The job id, which jobs were selected, or what is paused and until when.
    pub subject: String,
    /// How many jobs were changed.
    pub jobs: u64,
}

impl ChangeView {
    /// As in a list.
    pub fn new(record: &ChangeRecord) -> Self {
        let text = |text: &str| plain(text.as_bytes(), 1_000).replace('\n', " ");
        Self {
            id: record.id.to_string(),
            at: record.id.millis,
            time: time(record.id.millis),
            caller: text(&record.caller),
            change: text(&record.change),
            queue: record.queue.as_deref().map(text),
            subject: text(&record.subject),
            jobs: record.jobs,
        }
    }
}
