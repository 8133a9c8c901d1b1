//! Jobs in Redis: the format of a job, and every transition that it makes. Producers in Rust depend on this
//! crate.
//!
//! [`Redis::enqueue`] enqueues a job, and [`Redis`] reads its result. The modules [`job`], [`work`],
//! [`cron`], [`admin`] and [`names`] are for the worker and its tools, and may change with any release.

pub mod admin;
pub mod cron;
pub mod job;
pub mod names;
mod produce;
mod redis;
mod trail;
pub mod work;

pub use job::{EntryId, Fields};
pub use produce::{
    BatchError, EnqueueError, Enqueuing, IdempotencyKey, JsonJob, NewJob, NotAJob, Publication,
};
pub use redis::{BadQueueName, ConnectError, Error, QueueName, Redis, error_text};
pub use trail::JobResult;

/// For the model of the protocol and the tests of the scripts: unstable.
#[doc(hidden)]
pub mod internals {
    pub use crate::redis::{script_sources, without_line};
}
