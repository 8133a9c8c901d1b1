//! The queue: every transition of a job in Redis. The only module that speaks to fred.

mod connect;
mod flow;
mod inspect;
mod keys;
mod link;
mod operation;
mod produce;
mod redis;
mod reply;
mod report;
mod scripts;
mod settle;
mod shard;
mod take;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fred::types::Value;
use redis_telemetry::TracedClient;
use telemetry::Telemetry;

use crate::clock::Clock;

pub use connect::ConnectError;
pub use flow::{Admission, Asking, Mended, Taken, Told, Why};
pub use fred::error::Error;
pub use inspect::{
    Cancelled, DeadLetter, FoundJob, HeldFlow, Inspector, Listing, Place, Replayed, Search, Server, Shard,
    State, Survey, SurveyedConsumer,
};
pub use keys::{BadQueueName, QueueName};
pub use link::{Link, is_answer, is_refusal};
pub use operation::{Operation, Operations};
pub use produce::{EnqueueError, Enqueuing, IdempotencyKey, Publication};
pub use redis::{Redis, Shards};
pub use reply::Settled;
pub use report::Report;
pub use settle::{Burial, Parking, Until, WaitReason, Written};
pub use take::{Promoted, Reclaimed};

use keys::{GROUP, Keys};
use scripts::Scripts;

/// One shard of a queue, as one process sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shard: u32,
    keys: Keys,
    scripts: Arc<Scripts>,
    redis: TracedClient,
    /// For reads that block; a producer has none.
    reader: Option<TracedClient>,
    telemetry: Telemetry,
    consumer: Consumer,
    clock: Clock,
    link: Link,
    epoch: AtomicU32,
    operations: Operations,
}

/// Who reads: one consumer a process.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Unique among all processes, now and later.
    pub name: String,
    /// How long a job stays with a worker that gives no sign of life.
    pub lease: Duration,
}

impl Queue {
    /// Makes the consumer group where it is missing and learns Redis' time. A group that had to be made anew
    /// while this process ran begins a new epoch: what was in flight will be delivered again.
    ///
    /// # Errors
    /// fred's.
    pub async fn join(&self) -> Result<(), Error> {
        let keys = vec![self.0.keys.jobs.clone()];
        let reply = self.0.scripts.join.poll(&self.0.redis, keys, vec![GROUP.into()]).await?;
        let (made, now): (u64, u64) = reply.convert()?;
        self.0.clock.set(now);
        if made == 1 {
            self.0.epoch.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is done with it, as spans and metrics tell it.
    pub fn operations(&self) -> &Operations {
        &self.0.operations
    }

    /// The queue's name.
    pub fn name(&self) -> &'static str {
        self.0.operations.queue()
    }

    /// This process among the workers.
    pub fn consumer(&self) -> &Consumer {
        &self.0.consumer
    }

    /// Redis' clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// How the connection fares.
    pub fn link(&self) -> &Link {
        &self.0.link
    }

    /// The epoch of leases that are taken now.
    pub fn epoch(&self) -> u32 {
        self.0.epoch.load(Ordering::Relaxed)
    }

    /// Closes the connection for reads; that for everything else is [`Redis::close`]'s.
    pub async fn close(&self) {
        if let Some(reader) = &self.0.reader {
            redis::quit(reader).await;
        }
    }

    /// Group and consumer, with which the arguments of most scripts begin.
    fn identity(&self) -> Vec<Value> {
        vec![GROUP.into(), self.0.consumer.name.as_str().into()]
    }
}
