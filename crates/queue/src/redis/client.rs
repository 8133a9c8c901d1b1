//! A connection to Redis, and its queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, HashesInterface, StreamsInterface};
use fred_otel::Command;
use telemetry::{Context, Telemetry};

use super::address;
use super::call_spans::Spans;
use super::clock::Clock;
use super::connect::ConnectError;
use super::connection::Connection;
use super::delivery_log::{DeliveryLog, LogBounds};
use super::keys::{Keys, QueueName};
use super::link::{Link, is_answer};
use super::mark::Mark;
use super::operation_spans::{Instruments, Operations};
use super::producers::Producers;
use super::queue_shard::{Consumer, Inner, QueueShard};
use super::scripts::Scripts;
use super::server::{ServerInfo, Stray};
use super::warnings::Warnings;
use crate::job::ENTRY_BYTES_MAX;

/// The maximum number of shards of a queue. Each shard costs every worker a connection.
pub(crate) const SHARDS_MAX: u32 = 64;

/// A connection that all queues of a process share. Each fetcher also has its own. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Redis {
    pub(super) connection: Connection,
    pub(super) scripts: Arc<Scripts>,
    telemetry: Telemetry,
    spans: Spans,
    instruments: Instruments,
    /// Whether somebody follows jobs as they end.
    pub(super) is_followed: Arc<AtomicBool>,
    pub(super) producers: Arc<Producers>,
}

/// How many shards a queue has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardCounts {
    /// The shards that producers use.
    pub now: u32,
    /// The shards that workers read: the former number too, until the higher shards are empty.
    pub read: u32,
}

impl Redis {
    /// Connects, with the default [`Spans`].
    ///
    /// # Errors
    /// [`ConnectError`] if Redis cannot be reached now. Later the client reconnects by itself.
    pub async fn connect(url: &str, telemetry: &Telemetry) -> Result<Self, ConnectError> {
        Self::connect_with(url, telemetry, Spans::default()).await
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Redis::connect`].
    pub async fn connect_with(url: &str, telemetry: &Telemetry, spans: Spans) -> Result<Self, ConnectError> {
        let connection = Connection::connect(url, telemetry, spans.commands).await?;
        let scripts = Arc::new(Scripts::new());
        let instruments = Instruments::new(telemetry, address::address(url));
        let (telemetry, is_followed, producers) = (telemetry.clone(), Arc::default(), Arc::default());
        Ok(Self { connection, scripts, telemetry, spans, instruments, is_followed, producers })
    }

    /// A shard of a queue for a worker, with its own connection for blocking reads. Creates the consumer
    /// group if it is missing. `log` is what its delivery log keeps, if it has one.
    ///
    /// # Errors
    /// As [`Redis::connect`].
    pub async fn worker_shard(
        &self,
        name: &QueueName,
        shard: u32,
        consumer: Consumer,
        log: Option<LogBounds>,
    ) -> Result<QueueShard, ConnectError> {
        let reader = self.connection.reader(&self.telemetry, self.spans.commands).await?;
        let queue = self.shard(name, shard, Some(reader), consumer, log);
        if let Err(error) = queue.join().await {
            // The caller may try again, with another connection.
            queue.close().await;
            let (server, reason) = (self.address(), error.details().to_owned());
            return Err(match is_answer(&error) {
                true => ConnectError::Refused { server, reason },
                false => ConnectError::Unreachable { server, reason },
            });
        }
        queue.operations().begin_at_zero();
        Ok(queue)
    }

    /// A shard of a queue for a producer.
    pub fn producer_shard(&self, name: &QueueName, shard: u32) -> QueueShard {
        self.producers.shard(name, shard, || {
            let nobody = Consumer {
                name: String::new(),
                lease: Duration::ZERO,
                entry_bytes_max: ENTRY_BYTES_MAX,
                measures: false,
                warnings: Warnings::default(),
            };
            self.shard(name, shard, None, nobody, None)
        })
    }

    fn shard(
        &self,
        name: &QueueName,
        shard: u32,
        reader: Option<Connection>,
        consumer: Consumer,
        log: Option<LogBounds>,
    ) -> QueueShard {
        QueueShard(Arc::new(Inner {
            shard,
            keys: Keys::new(name, shard),
            operations: Operations::new(self.instruments.clone(), name, &consumer.name),
            scripts: self.scripts.clone(),
            clock: Clock::new(0, (consumer.lease / 2).max(Duration::from_secs(1))),
            link: Link::new(name, shard),
            epoch: AtomicU32::new(0),
            joining: tokio::sync::Mutex::default(),
            mark: Mark::default(),
            log: DeliveryLog::new(log, self.is_followed.clone()),
            telemetry: self.telemetry.clone(),
            receives: self.spans.receives,
            redis: self.connection.clone(),
            reader,
            consumer_name: consumer.name.as_str().into(),
            consumer,
        }))
    }

    /// How many shards a queue has.
    ///
    /// # Errors
    /// fred's.
    pub async fn shards(&self, name: &QueueName) -> Result<ShardCounts, Error> {
        let key = Keys::meta(name);
        let get = |client: Client| {
            let key = key.clone();
            async move { client.hmget::<Vec<Option<u32>>, _, _>(key, vec!["shards", "shards_before"]).await }
        };
        let (found, pending) = self.connection.defer(&key, Command::new("HMGET"), get).await;
        pending.discard();
        let number = |found: Option<&Option<u32>>| found.copied().flatten().unwrap_or(1).clamp(1, SHARDS_MAX);
        let found = found?;
        let (now, before) = (number(found.first()), number(found.get(1)));
        Ok(ShardCounts { now, read: now.max(before) })
    }

    /// Changes the number of shards of a queue, 1 to 64, while jobs run.
    ///
    /// # Errors
    /// fred's.
    pub async fn reshard(&self, name: &QueueName, shards: u32) -> Result<ShardCounts, Error> {
        let keys = vec![Keys::meta(name)];
        let args = vec![shards.clamp(1, SHARDS_MAX).to_string().into()];
        let reply = self.scripts.reshard.call(&self.connection, &Context::none(), keys, args).await?;
        self.producers.forget_numbers(name);
        let (now, read) = reply.convert()?;
        Ok(ShardCounts { now, read })
    }

    /// Makes workers read shards again that hold jobs and that no worker reads, until they are empty. A
    /// producer used an old number of shards, or the number itself was lost. Returns the number of shards
    /// that are read.
    ///
    /// # Errors
    /// fred's.
    pub async fn reopen(&self, name: &QueueName, shards: ShardCounts) -> Result<u32, Error> {
        let counts = (shards.read..SHARDS_MAX).map(|shard| self.jobs_in(name, shard));
        let counts = futures_util::future::try_join_all(counts).await?;
        let Some(highest) = (shards.read..).zip(counts).filter(|(_, jobs)| *jobs > 0).last() else {
            return Ok(shards.read);
        };
        let args = vec![(highest.0 + 1).to_string().into()];
        let reply = self.scripts.reopen.poll(&self.connection, vec![Keys::meta(name)], args).await?;
        reply.convert()
    }

    /// How many jobs a shard holds, without dead letters.
    async fn jobs_in(&self, name: &QueueName, shard: u32) -> Result<u64, Error> {
        let keys = Keys::new(name, shard);
        let count = |client: Client| {
            let own = [&keys.jobs, &keys.waiting, &keys.order_waiting].map(Clone::clone);
            let [jobs, waiting, order_waiting] = own;
            async move {
                let jobs: u64 = client.xlen(jobs).await?;
                let waiting: u64 = client.hlen(waiting).await?;
                let order_waiting: u64 = client.hlen(order_waiting).await?;
                Ok(jobs + waiting + order_waiting)
            }
        };
        let (count, pending) = self.connection.defer(&keys.jobs, Command::new("XLEN"), count).await;
        pending.discard();
        count
    }

    /// Stops the reading of the higher shards after a queue got fewer shards, if they are empty. Returns
    /// whether it did.
    ///
    /// # Errors
    /// fred's.
    pub async fn shrink(&self, name: &QueueName, shards: ShardCounts) -> Result<bool, Error> {
        for shard in shards.now..shards.read {
            if self.jobs_in(name, shard).await? > 0 {
                return Ok(false);
            }
        }
        let keys = vec![Keys::meta(name)];
        let args = vec![shards.now.to_string().into(), shards.read.to_string().into()];
        let reply = self.scripts.shrunk.poll(&self.connection, keys, args).await?;
        Ok(reply.as_u64() == Some(1))
    }

    /// The server, or the first of a cluster: host and port, without user and password.
    pub fn address(&self) -> String {
        self.connection.address()
    }

    /// What the server reports of itself.
    ///
    /// # Errors
    /// fred's, also if this user may not call INFO.
    pub async fn server(&self) -> Result<ServerInfo, Error> {
        ServerInfo::read(&self.connection).await
    }

    /// Asks Redis for an answer: in a cluster, any node.
    ///
    /// # Errors
    /// fred's, after 5 s without an answer.
    pub async fn ping(&self) -> Result<(), Error> {
        let call = |client: Client| async move { client.ping::<()>(None).await };
        self.connection.run(None, Command::new("PING"), call).await
    }

    /// A stream that is meant for this queue, but whose key lacks the braces.
    ///
    /// # Errors
    /// fred's.
    pub async fn stray_stream(&self, name: &QueueName) -> Result<Option<Stray>, Error> {
        Stray::of(&self.connection, name).await
    }

    /// Closes the connection.
    pub async fn close(&self) {
        self.connection.quit().await;
    }
}
