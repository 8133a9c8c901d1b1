//! The fetcher: takes new jobs from all shards while slots are free, in proportion to their weights, and
//! recovers from errors.

mod round_robin;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use postrider_queue::Error;
use postrider_queue::job::Delivery;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::shard_list::{ServedShard, ShardList};
use crate::flows::Flows;
use crate::shard::byte_budget::{ByteBudget, Reserved};
use crate::shard::control::CurrentControl;
use crate::shard::slots::{Slot, Slots};
use round_robin::RoundRobin;

/// How many jobs one read takes at most.
const FETCH_JOBS_MAX: usize = 256;

/// How often the fetcher checks for attempts that do not answer while no slot is free.
const LEND_INTERVAL: Duration = Duration::from_millis(50);

/// The time until a blocking read is ended again, if it has not ended.
const WAKE_INTERVAL: Duration = Duration::from_millis(250);

/// How shards are chosen while several have jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In proportion to their weights.
    Weighted,
    /// The first shard that has jobs, in the configured order.
    Strict,
}

/// How long a read may delay the reads of other shards.
const READ_PATIENCE: Duration = Duration::from_millis(250);

/// The result of a blocking read, or of another one that was late.
struct ReadResult {
    shard: Arc<ServedShard>,
    taken: Result<Vec<Delivery>, Error>,
    sent: Instant,
    /// What the jobs of a late read use. A blocking read has none.
    slots: Vec<Slot>,
    until_sizes_are_known: Option<Reserved>,
}

/// Fetches jobs.
pub(crate) struct Fetcher {
    sources: RoundRobin,
    slots: Slots,
    bytes: ByteBudget,
    flows: Flows,
    control: CurrentControl,
    /// Blocking and late reads, at most one a shard. They continue while the fetcher does other work: a dropped read
    /// could lose the job that Redis delivers to it.
    waits: FuturesUnordered<BoxFuture<'static, ReadResult>>,
}

impl Fetcher {
    /// A fetcher for these shards, and for shards that join later.
    pub(crate) fn new(
        shards: ShardList,
        slots: Slots,
        bytes: ByteBudget,
        flows: Flows,
        control: CurrentControl,
        order: Order,
    ) -> Self {
        let sources = RoundRobin::new(shards, control.clone(), order);
        Self { sources, slots, bytes, flows, control, waits: FuturesUnordered::new() }
    }

    /// Fetches until stopped.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        // Both last as long as the loop: registering them again would cost each job more than polling them.
        let mut stopped = pin!(stop.cancelled());
        let mut lends = interval(LEND_INTERVAL);
        lends.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            let free = tokio::select! {
                // No slot is held while bytes are missing: the reclaimer may need it.
                free = async {
                    self.bytes.room().await;
                    self.slots.take(FETCH_JOBS_MAX).await
                } => free,
                Some(waited) = self.waits.next() => {
                    // At most one job a shard exceeds the slots and the bytes.
                    self.arrived(waited);
                    continue;
                }
                _ = lends.tick() => {
                    self.slots.lend(self.flows.excess());
                    continue;
                }
                () = &mut stopped => break,
            };
            self.slots.lend(self.flows.excess());
            self.sources.refresh();
            let any = self.poll(free).await;
            self.begin_waits(any);
            if !any {
                // The slots were released: waiting for jobs must not keep the reclaimer from working.
                tokio::select! {
                    () = self.wait() => {}
                    () = &mut stopped => break,
                }
            }
        }
        self.end().await;
    }

    /// Reads for all free slots without waiting. Returns whether there were any jobs, or there may be more than the
    /// bytes in flight allow.
    async fn poll(&mut self, mut free: Vec<Slot>) -> bool {
        let mut any = false;
        self.sources.begin_round(free.len());
        while !free.is_empty() {
            // Any entry may be as large as all together.
            let fit = free.len().min(self.bytes.entries());
            if fit == 0 {
                return true;
            }
            let Some((source, share)) = self.sources.next(fit) else { break };
            let Some(read) = self.read(source, share, &mut free).await else { continue };
            let ReadResult { shard, taken, sent, until_sizes_are_known: _until_all_begin, .. } = read;
            match taken {
                Ok(taken) => {
                    shard.queue.link().up();
                    self.sources.fetched(source, &taken, share);
                    any |= !taken.is_empty();
                    let slots = free.split_off(free.len() - taken.len().min(free.len()));
                    for (delivery, slot) in taken.into_iter().zip(slots) {
                        shard.deliveries.begin(delivery, sent, Some(slot));
                    }
                }
                Err(error) => self.sources.failed(&shard, &error),
            }
        }
        any
    }

    /// Reads from a shard. `None` if that takes long: then the read goes on beside the others, with its part of the free
    /// slots. A dropped read could lose the job that Redis delivers to it.
    async fn read(&mut self, source: usize, share: usize, free: &mut Vec<Slot>) -> Option<ReadResult> {
        let (shard, sent) = (self.sources.shard(source), Instant::now());
        let until_sizes_are_known = Some(self.bytes.reserve(share));
        // Alone, it delays nobody.
        if self.sources.is_alone() {
            let taken = shard.queue.read(share).await;
            return Some(ReadResult { shard, taken, sent, slots: vec![], until_sizes_are_known });
        }
        let reading = shard.clone();
        let mut read = Box::pin(async move { reading.queue.read(share).await });
        if let Ok(taken) = timeout(READ_PATIENCE, &mut read).await {
            return Some(ReadResult { shard, taken, sent, slots: vec![], until_sizes_are_known });
        }
        self.sources.late(source);
        let slots = free.split_off(free.len() - share);
        self.waits.push(Box::pin(async move {
            ReadResult { taken: read.await, shard, sent, slots, until_sizes_are_known }
        }));
        None
    }

    /// Begins the blocking reads of all idle shards, or only of those that have failed.
    fn begin_waits(&mut self, only_failed: bool) {
        for shard in self.sources.begin_waits(only_failed) {
            // The lease counts from when the read was sent: a process that is paused during the read cannot
            // know when the job arrived.
            let (sent, control) = (Instant::now(), self.control.clone());
            self.waits.push(Box::pin(async move {
                let (taken, slots) = (wait_unless_paused(&shard, control).await, vec![]);
                ReadResult { taken, shard, sent, slots, until_sizes_are_known: None }
            }));
        }
    }

    /// Waits until a job arrives in one of the shards, a failed shard can be tried again, or a pause begins or ends.
    async fn wait(&mut self) {
        tokio::select! {
            Some(waited) = self.waits.next() => self.arrived(waited),
            () = self.sources.changed() => {}
            () = self.control.changed() => {}
        }
    }

    /// Begins the job of a blocking read, without a slot if none is free, or those of a late one.
    fn arrived(&mut self, waited: ReadResult) {
        let ReadResult { shard, taken, sent, mut slots, until_sizes_are_known } = waited;
        self.sources.waited(&shard, until_sizes_are_known.is_some(), taken.is_err());
        match taken {
            Ok(taken) => {
                shard.queue.link().up();
                for delivery in taken {
                    let slot = slots.pop().or_else(|| self.slots.try_take());
                    shard.deliveries.begin(delivery, sent, slot);
                }
            }
            Err(error) => self.sources.failed(&shard, &error),
        }
    }

    /// Ends the blocking reads, and begins the jobs that they still fetch. A read that was not sent yet is sent first: a
    /// command that is sent before it would not end it.
    async fn end(mut self) {
        let waiting = self.sources.waiting();
        let wake = async {
            loop {
                for shard in &waiting {
                    shard.queue.wake().await;
                }
                tokio::time::sleep(WAKE_INTERVAL).await;
            }
        };
        let rest = async {
            while let Some(waited) = self.waits.next().await {
                // An error no longer matters.
                if waited.taken.is_ok() {
                    self.arrived(waited);
                }
            }
        };
        tokio::select! {
            biased;
            () = rest => {}
            never = wake => never,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// The blocking read of a shard. A pause of its queue ends it, by a command: a dropped read could lose a job.
async fn wait_unless_paused(
    shard: &ServedShard,
    mut control: CurrentControl,
) -> Result<Vec<Delivery>, Error> {
    let ServedShard { queue, .. } = shard;
    if control.pauses_queue(queue.name()) {
        return Ok(vec![]);
    }
    let end = async {
        loop {
            control.paused(queue.name()).await;
            queue.wake().await;
            tokio::time::sleep(WAKE_INTERVAL).await;
        }
    };
    tokio::select! {
        biased;
        taken = queue.wait() => taken,
        never = end => never,
    }
}
