//! An order key that a dead letter stops.

use postrider_queue::admin::StoppedLine;
use serde::Serialize;
use utoipa::ToSchema;

use super::text::{plain, time};

/// An order key whose later jobs a dead letter stops.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StoppedKeyView {
    /// The queue, and its shard if that is not the first: `mail`, `mail/1`.
    pub queue: String,
    /// The order key.
    pub order: String,
    /// The id of the job that died.
    pub job_id: String,
    /// Why it died.
    pub reason: String,
    /// Whether the dead letter was deleted since: it was beyond the bounds of the dead letters, or somebody deleted it in Redis.
    /// Then it cannot be replayed, and the key goes on only when it is resumed.
    pub deleted: bool,
    /// When, Unix milliseconds.
    pub stopped_at: u64,
    /// The same as RFC 3339.
    pub stopped: String,
    /// How many later jobs of the key wait. Jobs that no worker has seen yet are not counted.
    pub behind: u64,
}

impl StoppedKeyView {
    /// Of a line.
    pub fn new(line: &StoppedLine) -> Self {
        Self {
            queue: line.queue.to_string(),
            order: plain(line.note.order.as_bytes(), 256),
            job_id: plain(line.note.job_id.as_bytes(), 128),
            reason: plain(line.note.reason.as_bytes(), 40),
            deleted: line.is_deleted,
            stopped_at: line.note.at,
            stopped: time(line.note.at),
            behind: line.behind,
        }
    }
}
