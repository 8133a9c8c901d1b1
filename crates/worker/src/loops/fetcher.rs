//! The reader: takes new jobs from all shards while slots are free, in the proportion of their weights, and
//! heals itself.

mod round_robin;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use postrider_queue::Error;
use postrider_queue::job::Delivery;
use tokio_util::sync::CancellationToken;

use crate::delivery::attempt::begin;
use crate::shard::list::ShardList;
use crate::shard::runtime::ShardRuntime;
use crate::shard::slots::{Slot, Slots};
use round_robin::RoundRobin;

/// As many as one read takes.
const MOST: usize = 256;

/// How shards are chosen while several have jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In proportion to their weights.
    Weighted,
    /// The first that has any, in the order in which they were given.
    Strict,
}

/// A read that blocks, and what it brings.
struct Waited {
    shard: Arc<ShardRuntime>,
    taken: Result<Vec<Delivery>, Error>,
    sent: Instant,
}

/// Takes jobs.
pub(crate) struct Fetcher {
    sources: RoundRobin,
    slots: Slots,
    /// Reads that block, at most one a shard. They go on while the reader does other things: dropped, a read
    /// could bring a job to nobody.
    waits: FuturesUnordered<BoxFuture<'static, Waited>>,
}

impl Fetcher {
    /// A reader of these shards, and of those that join them.
    pub(crate) fn new(shards: ShardList, slots: Slots, order: Order) -> Self {
        Self { sources: RoundRobin::new(shards, order), slots, waits: FuturesUnordered::new() }
    }

    /// Reads until stopped.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let free = tokio::select! {
                free = self.slots.take(MOST) => free,
                Some(waited) = self.waits.next() => {
                    // At most one job a shard comes in over the slots.
                    self.arrived(waited).await;
                    continue;
                }
                () = stop.cancelled() => break,
            };
            self.sources.refresh();
            if !self.poll(free).await {
                // Without a slot: what waits for jobs must not keep others from running.
                tokio::select! {
                    () = self.wait() => {}
                    () = stop.cancelled() => break,
                }
            }
        }
        self.end().await;
    }

    /// Reads for all free slots without waiting. Answers whether anything was there.
    async fn poll(&mut self, mut free: Vec<Slot>) -> bool {
        let mut any = false;
        self.sources.begin_round(free.len());
        while !free.is_empty()
            && let Some((source, share)) = self.sources.next(free.len())
        {
            let sent = Instant::now();
            let shard = self.sources.shard(source);
            match shard.queue.read(share).await {
                Ok(taken) => {
                    shard.queue.link().up();
                    self.sources.answered(source, &taken, share);
                    any |= !taken.is_empty();
                    let slots = free.split_off(free.len() - taken.len().min(free.len()));
                    for (delivery, slot) in taken.into_iter().zip(slots) {
                        begin(&shard, delivery, sent, Some(slot));
                    }
                }
                Err(error) => self.failed(&shard, &error).await,
            }
        }
        any
    }

    /// Nothing is there: waits until a job comes to one of the shards, or one that failed is to be tried again.
    async fn wait(&mut self) {
        for shard in self.sources.begin_waits() {
            // The lease counts from when the read was sent: paused in the middle of it, a process cannot know when
            // the job came.
            let sent = Instant::now();
            self.waits.push(Box::pin(async move { Waited { taken: shard.queue.wait().await, shard, sent } }));
        }
        tokio::select! {
            Some(waited) = self.waits.next() => self.arrived(waited).await,
            () = self.sources.changed() => {}
        }
    }

    /// Begins with what a blocking read brought, one job over the slots where none is free.
    async fn arrived(&mut self, waited: Waited) {
        let Waited { shard, taken, sent } = waited;
        self.sources.waited(&shard);
        match taken {
            Ok(taken) => {
                shard.queue.link().up();
                for delivery in taken {
                    begin(&shard, delivery, sent, self.slots.try_take());
                }
            }
            Err(error) => self.failed(&shard, &error).await,
        }
    }

    /// The group is gone after a restart without persistence, a FLUSHALL, an XGROUP DESTROY: it is made anew.
    /// Everything else passes; the shard is left alone for a while.
    async fn failed(&mut self, shard: &Arc<ShardRuntime>, error: &Error) {
        let error = if error.details().starts_with("NOGROUP") {
            match shard.queue.join().await {
                Ok(()) => {
                    let queue = shard.queue.name();
                    tracing::warn!(
                        queue,
                        "the consumer group was gone and is made anew; what was in flight will be sent again"
                    );
                    return;
                }
                Err(error) => error,
            }
        } else {
            error.clone()
        };
        self.sources.failed(shard, &error);
    }

    /// Ends the reads that block, so that a job which one of them brings at the last moment is worked on too.
    async fn end(mut self) {
        for shard in self.sources.waiting() {
            shard.queue.wake().await;
        }
        let rest = async {
            while let Some(waited) = self.waits.next().await {
                // An error matters no more.
                if waited.taken.is_ok() {
                    self.arrived(waited).await;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
    }
}
