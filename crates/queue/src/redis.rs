//! The connection to Redis, and the keys, arguments and replies that all scripts share.

mod address;
mod announced;
mod args;
mod call_spans;
mod client;
mod clock;
mod cluster;
mod connect;
mod connection;
mod keys;
mod link;
mod mark;
mod nodes;
mod operation;
mod operation_spans;
mod queue_shard;
mod received;
mod reply;
mod scripts;
mod server;
mod slots;

pub use call_spans::{Receives, Spans};
pub use client::{Redis, ShardCounts};
pub use clock::Clock;
pub use connect::ConnectError;
pub use fred::error::Error;
pub use keys::{BadQueueName, QueueName};
pub use link::{Link, is_answer, is_refusal};
pub use operation::Operation;
pub use operation_spans::Operations;
pub use queue_shard::{Consumer, QueueShard};
pub use reply::Settled;
pub use server::{ServerInfo, Stray};

pub(crate) use address::address;
pub(crate) use args::{ids, number, push_fields, push_leases};
pub(crate) use client::SHARDS_MAX;
pub(crate) use connect::BLOCKING_READ_TIMEOUT;
pub(crate) use connection::Connection;
pub(crate) use keys::{GROUP, Keys};
pub(crate) use mark::{FIELD as MARK_FIELD, Mark};
pub(crate) use operation_spans::Instruments;
pub(crate) use received::{Received, read};
pub(crate) use reply::{entry_id, fields, unexpected};
pub(crate) use scripts::Scripts;
