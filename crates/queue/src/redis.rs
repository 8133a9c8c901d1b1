//! The connection to Redis, and the keys, arguments and replies that all scripts share.

mod args;
mod client;
mod clock;
mod connect;
mod keys;
mod link;
mod operation;
mod operations;
mod queue;
mod reply;
mod scripts;
mod server;
mod spans;

pub use client::{Redis, Shards};
pub use clock::Clock;
pub use connect::ConnectError;
pub use fred::error::Error;
pub use keys::{BadQueueName, QueueName};
pub use link::{Link, is_answer, is_refusal};
pub use operation::Operation;
pub use operations::Operations;
pub use queue::{Consumer, Queue};
pub use reply::Settled;
pub use server::{ServerInfo, Stray};
pub use spans::{Receives, Spans};

pub(crate) use args::{ids, number, push_fields, push_leases};
pub(crate) use client::{SHARDS_MAX, traced};
pub(crate) use connect::{BLOCK, address, connect, quit};
pub(crate) use keys::{GROUP, Keys};
pub(crate) use operations::Instruments;
pub(crate) use reply::{entry_id, fields, read, unexpected};
pub(crate) use scripts::Scripts;
