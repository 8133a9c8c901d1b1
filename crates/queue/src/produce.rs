//! The producer's side: routing to shards, putting jobs in, results.

mod enqueue;
mod shard;

pub use enqueue::{EnqueueError, Enqueuing, IdempotencyKey, Publication};
