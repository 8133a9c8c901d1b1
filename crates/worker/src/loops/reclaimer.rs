//! The reclaimer: takes over the jobs of workers that give no sign of life any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::delivery::attempt::begin;
use crate::shard::lease;
use crate::shard::runtime::ShardRuntime;
use crate::shard::slots::{Slot, Slots, Suspect};

/// At most so many at once, so that one worker does not take all that a dead one held.
const MOST: usize = 100;

/// A job that is delivered for the third time may have killed its workers: one of these at a time is worked
/// on, so that a further crash counts against the one that caused it.
const SUSPECT: u64 = 3;

/// Looks four times a lease, at once where a look found some, and at once when a suspect is done while others wait; until stopped.
pub(crate) async fn run(shard: Arc<ShardRuntime>, slots: Slots, stop: CancellationToken) {
    let lease = shard.queue.consumer().lease;
    // Idle time goes on while Redis is down: whoever comes back first would find everything idle. So nobody
    // takes anything over until it has been connected for a whole lease, in which the others have been too.
    let mut wait = lease;
    let mut suspects_wait = false;
    let mut clock = Steadiness::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = slots.suspect_done(), if suspects_wait => {}
            () = stop.cancelled() => return,
        }
        wait = lease / 4;
        if !shard.queue.link().up_for(lease) {
            continue;
        }
        let free = tokio::select! {
            free = slots.take(MOST) => free,
            () = stop.cancelled() => return,
        };
        // Redis may have stalled, and idle time went on. Once it has answered, it has also heard what the others
        // sent meanwhile to keep their leases.
        let asked = Instant::now();
        if !lease::extend(&shard, &[]).await || !clock.is_steady(&shard) {
            continue;
        }
        if asked.elapsed() > lease / 3 {
            // Others may have extended just before it stalled, and hear of it as late: they have a whole lease, too.
            wait = lease;
            continue;
        }
        match reclaim(&shard, &slots, free).await {
            Ok(found) => {
                suspects_wait = found.passed_suspects;
                if found.any {
                    wait = Duration::ZERO;
                }
            }
            Err(error) => wait = shard.queue.link().down(&error, 6),
        }
    }
}

/// Whether Redis' clock has jumped: told once.
#[derive(Default)]
struct Steadiness {
    jumped: bool,
}

impl Steadiness {
    /// After a jump of Redis' clock all leases look as if they had run out. Within a lease, those who live extend
    /// theirs.
    fn is_steady(&mut self, shard: &ShardRuntime) -> bool {
        let lease = shard.queue.consumer().lease;
        let steady = shard.queue.clock().steady_for(lease);
        if !steady && !self.jumped {
            warn!(?lease, "Redis' clock has jumped: nothing is taken over from other workers for a lease");
        }
        self.jumped = !steady;
        steady
    }
}

/// What a look has found.
struct Found {
    /// Suspects wait for their turn.
    passed_suspects: bool,
    /// There were some, so there may be more.
    any: bool,
}

/// Takes over what it can.
async fn reclaim(
    shard: &Arc<ShardRuntime>,
    slots: &Slots,
    free: Vec<Slot>,
) -> Result<Found, postrider_queue::Error> {
    let mut suspect: Option<Suspect> = slots.suspect();
    let sent = Instant::now();
    let counts_own = shard.panicked.load(Ordering::Relaxed);
    let reclaimed = shard.queue.reclaim(free.len(), usize::from(suspect.is_some()), counts_own).await?;
    shard.queue.link().up();
    if !reclaimed.taken.is_empty() {
        let jobs = reclaimed.taken.len();
        info!(jobs, "took over jobs of a worker that gives no sign of life");
        shard.counts.reclaimed(jobs);
    }
    let any = !reclaimed.taken.is_empty();
    for (delivery, mut slot) in reclaimed.taken.into_iter().zip(free) {
        if delivery.lease.delivery >= SUSPECT {
            slot.suspect = suspect.take();
        }
        begin(shard, delivery, sent, Some(slot));
    }
    Ok(Found { passed_suspects: reclaimed.passed_suspects, any })
}
