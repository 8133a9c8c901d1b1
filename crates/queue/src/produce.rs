//! The producer's side: choosing shards, enqueueing jobs, reading results.

mod enqueue;
mod shard;

pub use enqueue::{EnqueueError, Enqueuing, IdempotencyKey, Publication};
