//! Fetches new jobs, takes over jobs of dead workers, and moves due jobs to the stream.

use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::interfaces::{ClientLike, StreamsInterface};
use fred::types::Value;
use fred_otel::{Command, Pending};
use telemetry::{Context, Span, semconv};

use super::promoted::{Promoted, promoted};
use crate::job::{Delivery, Lease, Producer};
use crate::redis::{
    BLOCKING_READ_TIMEOUT, Connection, Error, GROUP, Operation, QueueShard, Received, Receives, number,
    push_leases, read, unexpected,
};

/// The result of [`QueueShard::reclaim`].
#[derive(Clone, Debug)]
pub struct Reclaimed {
    /// The jobs.
    pub taken: Vec<Delivery>,
    /// Whether it skipped suspects, because one is running.
    pub passed_suspects: bool,
    /// Redis' time, Unix milliseconds. If it is far from the expected time, nothing was taken over.
    pub now: u64,
}

impl QueueShard {
    /// Fetches up to `count` new jobs without waiting.
    ///
    /// # Errors
    /// fred's. After `NOGROUP`, the group has been created again.
    pub async fn read(&self, count: usize) -> Result<Vec<Delivery>, Error> {
        self.read_with(&self.0.redis, count, None).await
    }

    /// Waits for a new job, at most 5 s, and fetches it.
    ///
    /// # Errors
    /// As [`QueueShard::read`].
    pub async fn wait(&self) -> Result<Vec<Delivery>, Error> {
        let reader = self.0.reader.as_ref().ok_or_else(unexpected)?;
        self.read_with(reader, 1, Some(BLOCKING_READ_TIMEOUT.as_millis() as u64)).await
    }

    async fn read_with(
        &self,
        redis: &Connection,
        count: usize,
        block: Option<u64>,
    ) -> Result<Vec<Delivery>, Error> {
        let (epoch, began) = (self.epoch(), Instant::now());
        let command = Command::new("XREADGROUP");
        let command = if block.is_some() { command.blocking() } else { command };
        let call = |client: Client| {
            let (key, consumer) = (self.0.keys.jobs.clone(), self.0.consumer_name.clone());
            async move { client.xreadgroup(GROUP, consumer, Some(count as u64), block, false, key, ">").await }
        };
        let (reply, pending) = redis.defer(&self.0.keys.jobs, command, call).await;
        let taken = match reply {
            // `wake` ended the read, or the stream was deleted, or the server changed its role. The next read
            // shows which.
            Err(error) if error.details().starts_with("UNBLOCKED") => Ok(vec![]),
            reply => self.healed(reply).await.and_then(|reply: Value| read(reply, &self.0, epoch)),
        };
        match &taken {
            Ok(taken) if taken.is_empty() => pending.discard(),
            Ok(taken) => self.received(Operation::Receive, taken, pending, began),
            Err(error) => pending.record(&Context::none(), Some(error)),
        }
        taken
    }

    /// Records fetched jobs.
    fn received(&self, operation: Operation, taken: &[Delivery], pending: Pending<'_>, began: Instant) {
        if !self.0.telemetry.is_on() {
            return pending.discard();
        }
        match self.receive_span(operation, taken, &pending) {
            Some(span) => pending.record(&span.context(), None),
            None => pending.measure(None),
        }
        let operations = self.operations();
        operations.record_duration(operation, began, None);
        operations.consumed(operation, taken.len());
    }

    /// The span of a read: a root, with a link to each producer's span that is recorded. If none is, the span
    /// is made only with [`Receives::Always`].
    fn receive_span(&self, operation: Operation, taken: &[Delivery], pending: &Pending<'_>) -> Option<Span> {
        let producer = |delivery: &Delivery| self.0.telemetry.extract(&Producer(&delivery.fields));
        let producers = taken.iter().map(|delivery| (producer(delivery), delivery.lease.entry));
        let sampled: Vec<_> = producers.filter(|(producer, _)| producer.is_sampled()).collect();
        if sampled.is_empty() && self.0.receives == Receives::Sampled {
            return None;
        }
        let (operations, root) = (self.operations(), Context::none());
        let builder = operations.span(operation).began(pending.began()).parent(&root);
        let builder = sampled.iter().fold(builder, |builder, (producer, entry)| {
            builder.link_with(producer, |link| link.set(semconv::MESSAGING_MESSAGE_ID, entry.to_string()))
        });
        Some(builder.start(|attributes| {
            operations.describe(operation, attributes);
            attributes.set(semconv::MESSAGING_BATCH_MESSAGE_COUNT, taken.len());
        }))
    }

    /// Takes over up to `count` jobs whose lease has expired. Up to `suspects` of them may be suspects.
    ///
    /// # Errors
    /// fred's.
    pub async fn reclaim(&self, count: usize, suspects: usize, counts_own: bool) -> Result<Reclaimed, Error> {
        let (epoch, began) = (self.epoch(), Instant::now());
        let keys = vec![self.0.keys.jobs.clone(), self.0.keys.workers.clone()];
        let mut args = self.identity(8);
        let lease = self.0.consumer.lease.as_millis() as u64;
        args.extend([
            number(lease),
            number(count as u64),
            number(suspects as u64),
            number(counts_own.into()),
            number(self.0.clock.now()),
            // A heartbeat renews each lease after a third of it. Half a lease more is still less than a
            // lease.
            number(lease / 2),
            number(self.0.consumer.entry_bytes_max as u64),
            number(DELIVERIES_MAX),
        ]);
        let asked = Instant::now();
        let (reply, pending) = self.0.scripts.reclaim.call_deferred(&self.0.redis, keys, args).await;
        let reclaimed = self.healed(reply).await.and_then(|reply| self.reclaimed(reply, epoch));
        match &reclaimed {
            Ok(reclaimed) if reclaimed.taken.is_empty() => pending.discard(),
            Ok(reclaimed) => self.received(Operation::Claim, &reclaimed.taken, pending, began),
            Err(error) => pending.record(&Context::none(), Some(error)),
        }
        if let Ok(reclaimed) = &reclaimed {
            self.0.clock.set(reclaimed.now, asked);
        }
        reclaimed
    }

    /// Parses the reply of reclaim.lua.
    fn reclaimed(&self, reply: Value, epoch: u32) -> Result<Reclaimed, Error> {
        let Value::Array(parts) = reply else { return Err(unexpected()) };
        let [passed, Value::Array(rows), now] = <[Value; 3]>::try_from(parts).map_err(|_| unexpected())?
        else {
            return Err(unexpected());
        };
        let number = |value: Value| value.as_u64().ok_or_else(unexpected);
        let mut received = Received::new(&self.0, epoch, rows.len());
        for row in rows {
            let Value::Array(row) = row else { return Err(unexpected()) };
            let [id, count, fields, bytes] = <[Value; 4]>::try_from(row).map_err(|_| unexpected())?;
            let whole_bytes = Some(number(bytes)? as usize).filter(|bytes| *bytes > 0);
            received.add(&id, number(count)?, fields, whole_bytes)?;
        }
        let passed_suspects = passed.as_u64() == Some(1);
        Ok(Reclaimed { taken: received.all(), passed_suspects, now: number(now)? })
    }

    /// Moves up to `count` due jobs from the schedule to the stream, and returns the flows that hold jobs. A
    /// flow that is returned as due is due again for all workers after `again`.
    ///
    /// # Errors
    /// fred's.
    pub async fn promote(&self, count: usize, again: Duration) -> Result<Promoted, Error> {
        let own = &self.0.keys;
        let mut keys = vec![
            own.jobs.clone(),
            own.waiting.clone(),
            own.scheduled.clone(),
            own.rejected.clone(),
            own.flows.clone(),
            own.expiring.clone(),
            own.stats.clone(),
        ];
        let mut args = vec![number(count as u64), number(again.as_millis() as u64)];
        if let Some(target) = self.0.log.target() {
            target.push(own, &mut keys, &mut args);
        }
        let asked = Instant::now();
        let reply = self.0.scripts.promote.poll(&self.0.redis, keys, args).await?;
        let promoted = promoted(reply)?;
        self.0.clock.set(promoted.now, asked);
        Ok(promoted)
    }

    /// Renews up to 1,000 leases, in ascending order of their entries, and records the worker's heartbeat.
    /// Returns whether each lease was renewed, or lost.
    ///
    /// # Errors
    /// fred's.
    pub async fn extend(&self, leases: &[Lease]) -> Result<Vec<bool>, Error> {
        let keys = vec![self.0.keys.jobs.clone(), self.0.keys.workers.clone()];
        let mut args = self.identity(2 + 2 * leases.len());
        args.push(self.record().into());
        args.push(Value::from_static_str(IN_FLIGHT_MAX));
        push_leases(&mut args, leases);
        let asked = Instant::now();
        let reply = self.0.scripts.extend.poll(&self.0.redis, keys, args).await;
        let reply = self.healed(reply).await?;
        let (now, letters): (u64, String) = reply.convert()?;
        self.0.clock.set(now, asked);
        Ok(letters.bytes().map(|letter| letter == b'o').collect())
    }

    /// Removes this worker; call it when nothing is in flight. Hands back jobs that were delivered to it and
    /// never arrived, and returns their number.
    ///
    /// # Errors
    /// fred's.
    pub async fn leave(&self) -> Result<u64, Error> {
        let mut handed_back = 0;
        loop {
            let own = &self.0.keys;
            let keys = vec![own.jobs.clone(), own.workers.clone(), own.order.clone()];
            let mut args = self.identity(1);
            args.push(self.0.mark.text().as_ref().into());
            let reply = self.0.scripts.leave.poll(&self.0.redis, keys, args).await?;
            let (jobs, left): (u64, u64) = reply.convert()?;
            handed_back += jobs;
            if left == 1 || jobs == 0 {
                return Ok(handed_back);
            }
        }
    }

    /// Ends a running [`QueueShard::wait`], which then returns no job.
    pub async fn wake(&self) {
        let Some(reader) = &self.0.reader else { return };
        let ping = |client: Client| async move { client.ping::<()>(None).await };
        let ping = reader.defer(&self.0.keys.jobs, Command::new("PING"), ping);
        if let Ok((_, pending)) = tokio::time::timeout(Duration::from_secs(1), ping).await {
            pending.discard();
        }
    }

    /// This worker's record for the other workers.
    fn record(&self) -> String {
        let warnings = self.0.consumer.warnings.sentences();
        let mut record = serde_json::json!({
            "lease_ms": self.0.consumer.lease.as_millis() as u64,
            "version": env!("CARGO_PKG_VERSION"),
            // One of the workers that measure reports the queue stats.
            "measures": self.0.consumer.measures,
            // What is cancelled by hand is recorded likewise.
            "log": self.log_bounds(),
        });
        // An empty list would come back from Lua as an object.
        if !warnings.is_empty() {
            record["warnings"] = warnings.into();
        }
        record.to_string()
    }
}

/// After this number of deliveries without a settlement, a job is poison.
pub const DELIVERIES_MAX: u64 = 5;

/// An upper bound of one worker's jobs in flight: the COUNT of an XPENDING over its own entries.
pub(crate) const IN_FLIGHT_MAX: &str = "100000";
