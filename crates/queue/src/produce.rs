//! The producer's side: choosing shards, enqueueing jobs, reading results.

mod enqueue;
mod json_job;
mod shard;

pub use enqueue::{EnqueueError, Enqueuing, IdempotencyKey, Publication};
pub use json_job::{JsonJob, NotAJob};
