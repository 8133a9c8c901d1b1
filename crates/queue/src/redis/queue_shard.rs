//! One shard of a queue in a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fred::bytes_utils::Str;
use fred::error::Error;
use fred::types::Value;
use telemetry::Telemetry;
use tracing::{debug, warn};

use super::call_spans::Receives;
use super::clock::Clock;
use super::connection::Connection;
use super::delivery_log::{DeliveryLog, LogBounds};
use super::keys::{GROUP, Keys};
use super::link::{Link, is_group_missing};
use super::mark::Mark;
use super::operation_spans::Operations;
use super::scripts::Scripts;
use super::warnings::Warnings;

/// One shard of a queue in a process, with its state: connection, clock, epoch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct QueueShard(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shard: u32,
    pub(crate) keys: Keys,
    pub(crate) scripts: Arc<Scripts>,
    pub(crate) redis: Connection,
    /// The connection for blocking reads; a producer has none.
    pub(crate) reader: Option<Connection>,
    pub(crate) telemetry: Telemetry,
    pub(crate) receives: Receives,
    pub(crate) consumer: Consumer,
    /// The consumer's name as shared bytes: a clone allocates nothing.
    pub(crate) consumer_name: Str,
    pub(crate) clock: Clock,
    pub(crate) link: Link,
    pub(crate) epoch: AtomicU32,
    /// Held while the consumer group is created again.
    pub(crate) joining: tokio::sync::Mutex<()>,
    pub(crate) mark: Mark,
    pub(crate) log: DeliveryLog,
    pub(crate) operations: Operations,
}

/// A consumer of the group: one for each process.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Unique among all processes, now and later.
    pub name: String,
    /// How long a job stays with a worker without a heartbeat.
    pub lease: Duration,
    /// The maximum size of a job, bytes: names and values of the fields that its producer gave.
    pub entry_bytes_max: usize,
    /// Whether it reports the queue's stats if it is the one that is chosen for that.
    pub measures: bool,
    /// What is wrong with it.
    pub warnings: Warnings,
}

impl QueueShard {
    /// Creates the consumer group if it is missing, and reads Redis' time. A created group starts a new
    /// epoch: Redis delivers jobs in flight again.
    ///
    /// # Errors
    /// fred's.
    pub async fn join(&self) -> Result<(), Error> {
        let keys = vec![self.0.keys.jobs.clone(), self.0.keys.mark.clone()];
        let args = vec![GROUP.into(), self.0.mark.proposal().as_ref().into()];
        let asked = Instant::now();
        let reply = self.0.scripts.join.poll(&self.0.redis, keys, args).await?;
        let (made, now, mark): (u64, u64, String) = reply.convert()?;
        self.0.clock.set(now, asked);
        self.0.mark.set(&mark);
        if made == 1 {
            self.0.epoch.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Passes a reply on. If the consumer group is missing, creates it: after a restart without persistence,
    /// FLUSHALL or XGROUP DESTROY. One call at a time creates it, and the others do not wait for that call.
    pub(crate) async fn healed<T>(&self, reply: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &reply
            && is_group_missing(error)
            && let Ok(_turn) = self.0.joining.try_lock()
        {
            match self.join().await {
                Ok(()) => warn!(
                    queue = self.name(),
                    "the consumer group was missing and has been created again; jobs in flight will be sent again"
                ),
                Err(error) => debug!(%error, queue = self.name(), "cannot create the consumer group now"),
            }
        }
        reply
    }

    /// Its operations, with their spans and metrics.
    pub fn operations(&self) -> &Operations {
        &self.0.operations
    }

    /// The queue's name.
    pub fn name(&self) -> &'static str {
        self.0.operations.queue()
    }

    /// Its number; the first one is 0.
    pub fn number(&self) -> u32 {
        self.0.shard
    }

    /// This process' consumer.
    pub fn consumer(&self) -> &Consumer {
        &self.0.consumer
    }

    /// Redis' clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The state of the connection.
    pub fn link(&self) -> &Link {
        &self.0.link
    }

    /// What the delivery log keeps; `None` if there is none.
    pub fn log_bounds(&self) -> Option<LogBounds> {
        self.0.log.kept
    }

    /// Whether jobs that end are recorded: in the delivery log, or while somebody follows them.
    pub fn is_logged(&self) -> bool {
        self.0.log.target().is_some()
    }

    /// The epoch of new leases.
    pub fn epoch(&self) -> u32 {
        self.0.epoch.load(Ordering::Relaxed)
    }

    /// Closes the connection for blocking reads. [`Redis::close`](crate::Redis::close) closes the other one.
    pub async fn close(&self) {
        if let Some(reader) = &self.0.reader {
            reader.quit().await;
        }
    }

    /// Group and consumer: the first arguments of most scripts. `more` arguments will follow.
    pub(crate) fn identity(&self, more: usize) -> Vec<Value> {
        let mut args = Vec::with_capacity(2 + more);
        args.extend([Value::from_static_str(GROUP), self.0.consumer_name.clone().into()]);
        args
    }
}
