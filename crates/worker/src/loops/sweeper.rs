//! The sweeper: finds jobs that no other loop would find, since somebody deleted, restored or changed some keys
//! by hand. `crates/README.md` has a table of all places of a job.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::work::{QueueShard, SweepPosition, Swept};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::line_sweep::LineSweep;
use super::paced::paced;
use crate::observe::dead_lines::DeadLines;
use crate::shard::alarm::Alarm;

/// Long, since only accidents orphan jobs.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// Every this number of sweeps, beginning with the first, also looks for lost entries: 30 s.
const LOST_SWEEPS: u64 = 3;
/// How many pages of waiting jobs a sweep reads. It goes on while it finds orphans.
const PAGES_MAX: u32 = 40;
/// Sweeps every 10 s until stopped. Each call to Redis is short, and a pause follows it, so that other clients have
/// their turn.
pub(crate) async fn run(
    queue: QueueShard,
    alarm: Arc<Alarm>,
    lines: Arc<DeadLines>,
    stop: CancellationToken,
) {
    let mut position = SweepPosition::default();
    let mut lines_of_keys = LineSweep::default();
    for round in 0_u64.. {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        lines.end_interval();
        let sweep = async {
            if round % LOST_SWEEPS == 0 {
                claim_lost(&queue).await?;
            }
            requeue_orphans(&queue, &alarm, &mut position).await?;
            lines_of_keys.sweep(&queue).await
        };
        tokio::select! {
            swept = sweep => {
                if let Err(error) = swept {
                    debug!(%error, "could not look for orphaned jobs");
                }
            }
            () = stop.cancelled() => return,
        }
    }
}

/// Claims the entries that were delivered and are pending for no consumer.
async fn claim_lost(queue: &QueueShard) -> Result<(), Error> {
    let (mut after, mut jobs) = (None, 0);
    loop {
        let claimed = paced(queue.claim_lost(after)).await?;
        (after, jobs) = (claimed.after, jobs + claimed.jobs);
        if after.is_none() {
            break;
        }
    }
    if jobs > 0 {
        warn!(
            jobs,
            "found jobs that were delivered and are pending for no worker; was a consumer deleted, or an entry \
             acknowledged by hand?"
        );
    }
    Ok(())
}

/// Makes waiting jobs due that nothing points to.
async fn requeue_orphans(
    queue: &QueueShard,
    alarm: &Alarm,
    position: &mut SweepPosition,
) -> Result<(), Error> {
    let mut all = Swept::default();
    let mut pages = 0;
    while pages < PAGES_MAX {
        let swept = paced(queue.sweep(position)).await?;
        pages += 1;
        if swept != Swept::default() {
            pages = 0;
            alarm.due_in(Duration::ZERO);
        }
        all.requeued += swept.requeued;
        all.listed += swept.listed;
        if position.is_start() {
            break;
        }
    }
    let Swept { requeued, listed } = all;
    if requeued > 0 {
        warn!(jobs = requeued, "requeued orphaned jobs; were keys of this queue deleted by hand?");
    }
    if listed > 0 {
        warn!(
            flows = listed,
            "flows with held jobs are checked again; were keys of this queue deleted by hand?"
        );
    }
    Ok(())
}
