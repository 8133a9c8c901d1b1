//! The producer's side: choosing shards, enqueueing jobs, reading results.

mod batch;
mod enqueue;
mod json_job;
mod series;
mod shard;

pub use batch::{BatchError, NewJob};
pub use enqueue::{EnqueueError, Enqueuing, IdempotencyKey, Publication};
pub use json_job::{JsonJob, NotAJob};
