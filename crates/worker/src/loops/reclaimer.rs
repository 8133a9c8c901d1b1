//! The reclaimer: takes over the jobs of workers without a heartbeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use postrider_queue::Error;
use postrider_queue::work::QueueShard;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::stall_watch::stall_min;
use crate::delivery::deliveries::Deliveries;
use crate::observe::counters::Counts;
use crate::shard::byte_budget::ByteBudget;
use crate::shard::control::CurrentControl;
use crate::shard::slots::{Slot, Slots, Suspect};

/// How many jobs one call takes over at most, so that one worker does not get all jobs of a dead one.
const RECLAIM_JOBS_MAX: usize = 100;

/// From this delivery on, a job is a suspect: it may have killed its workers. A worker works on one suspect
/// at a time, so that a crash counts only against the job that caused it.
const SUSPECT_DELIVERIES_MIN: u64 = 3;

/// The reclaimer of one shard.
#[derive(Debug)]
pub(crate) struct Reclaimer {
    /// The shard.
    pub queue: QueueShard,
    /// Begins to work on what it takes over.
    pub deliveries: Arc<Deliveries>,
    /// Counts what it takes over.
    pub counts: Arc<Counts>,
    /// Each job needs one.
    pub slots: Slots,
    /// Each job needs some.
    pub bytes: ByteBudget,
    /// It takes over nothing while the queue is paused.
    pub control: CurrentControl,
    /// How many suspects have outlived their time alone since none waited.
    pub suspects_outlived: Arc<AtomicU32>,
}

/// Polls four times within a lease. Polls again at once after it took over jobs, and when a suspect is done
/// while others wait.
pub(crate) async fn run(reclaimer: Reclaimer, stop: CancellationToken) {
    let Reclaimer { queue, deliveries, slots, bytes, .. } = &reclaimer;
    let lease = queue.consumer().lease;
    // Idle time passes while Redis is down: the first worker to reconnect would find all jobs idle. So a
    // worker takes over nothing until it has been connected for a whole lease, in which the others can renew
    // theirs.
    let mut wait = lease;
    let mut suspects_wait = false;
    let mut clock = Steadiness::default();
    loop {
        let slept = Instant::now();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = slots.suspect_done(), if suspects_wait => {}
            () = stop.cancelled() => return,
        }
        // Others may have been paused as well: their heartbeats come first.
        if slept.elapsed() > wait + stall_min(lease) {
            wait = lease;
            continue;
        }
        wait = lease / 4;
        let is_paused = reclaimer.control.pauses_queue(queue.name());
        if is_paused || !queue.link().up_for(lease) || !deliveries.has_room() || bytes.entries() == 0 {
            continue;
        }
        // Only one until Redis has answered: other shards may need the others.
        let mut free = tokio::select! {
            free = slots.take(1) => free,
            () = stop.cancelled() => return,
        };
        // Redis may have stalled while idle time passed. Its reply shows that it has also received the
        // renewals that other workers sent before.
        let asked = Instant::now();
        if !deliveries.leases.extend(queue, &[]).await || !clock.is_steady(queue) {
            continue;
        }
        if asked.elapsed() > lease / 3 {
            // Other workers may have renewed just before the stall, and get their replies as late: wait a
            // whole lease.
            wait = lease;
            continue;
        }
        free.extend(slots.try_take_some(RECLAIM_JOBS_MAX - 1));
        free.truncate(bytes.entries());
        if free.is_empty() {
            continue;
        }
        match reclaimer.reclaim(free).await {
            Ok(found) => {
                suspects_wait = found.passed_suspects;
                if found.any {
                    wait = Duration::ZERO;
                }
            }
            Err(error) => wait = queue.link().down(&error, 6),
        }
    }
}

/// Whether Redis' clock has jumped. Each jump is logged once.
#[derive(Default)]
struct Steadiness {
    jumped: bool,
}

impl Steadiness {
    /// After a jump of Redis' clock, all leases look expired. Live workers renew theirs within a lease.
    fn is_steady(&mut self, queue: &QueueShard) -> bool {
        let lease = queue.consumer().lease;
        let steady = queue.clock().steady_for(lease);
        if !steady && !self.jumped {
            warn!(?lease, "Redis' clock has jumped: this worker takes over no jobs for one lease");
        }
        self.jumped = !steady;
        steady
    }
}

/// The result of a poll.
struct Poll {
    /// Suspects wait for their turn.
    passed_suspects: bool,
    /// It took over jobs, so there may be more.
    any: bool,
}

impl Reclaimer {
    /// Takes over jobs up to the free slots.
    async fn reclaim(&self, free: Vec<Slot>) -> Result<Poll, Error> {
        let mut suspect: Option<Suspect> = self.slots.suspect(&self.suspects_outlived);
        let _until_sizes_are_known = self.bytes.reserve(free.len());
        let sent = Instant::now();
        let counts_own = self.deliveries.panicked.load(Ordering::Relaxed);
        let reclaimed = self.queue.reclaim(free.len(), usize::from(suspect.is_some()), counts_own).await?;
        self.queue.link().up();
        if !reclaimed.taken.is_empty() {
            let jobs = reclaimed.taken.len();
            info!(jobs, "took over jobs of a worker without a heartbeat");
            self.counts.reclaimed(jobs);
        }
        let any = !reclaimed.taken.is_empty();
        if !any && !reclaimed.passed_suspects {
            self.suspects_outlived.store(0, Ordering::Relaxed);
        }
        for (delivery, mut slot) in reclaimed.taken.into_iter().zip(free) {
            // A partial one is only dead-lettered.
            if delivery.lease.delivery >= SUSPECT_DELIVERIES_MIN && delivery.whole_bytes.is_none() {
                slot.suspect = suspect.take();
            }
            self.deliveries.begin(delivery, sent, Some(slot));
        }
        Ok(Poll { passed_suspects: reclaimed.passed_suspects, any })
    }
}
