//! Admits held jobs.

use postrider_queue::Error;
use postrider_queue::job::{Admitted, FlowId};
use postrider_queue::work::{Admission, FlowLimit, FlowRequest};

use super::flow_gate::acquire_once;
use super::hold::CHECK_INTERVAL;
use crate::shard::runtime::ShardRuntime;

/// How many jobs one script call moves at most: it blocks Redis.
const ADMIT_JOBS_MAX: usize = 100;

/// Admits held jobs up to the limits of the flow, the oldest first.
///
/// # Errors
/// fred's.
pub(crate) async fn wake(shard: &ShardRuntime, id: FlowId) -> Result<(), Error> {
    let mut room = shard.flows.room(id).min(ADMIT_JOBS_MAX);
    let mut admission =
        Admission { count: 0, admitted: Admitted::Yes, again: CHECK_INTERVAL, older_than: shard.oldest() };
    if room > 0 && shard.flows.limits(id).rate.is_some() {
        // Counts the held jobs first: a token that no job uses is lost.
        let (_, waiting) = shard.queue.admit(id, &admission).await?;
        room = room.min(waiting as usize);
    }
    if room > 0 {
        let request = FlowRequest {
            making: shard.flows.counted(id),
            more: room,
            is_made: false,
            is_paid: false,
            is_past_breaker: false,
        };
        let taken = acquire_once(shard, id, request).await?;
        admission.count = taken.granted;
        if taken.why.is_some() {
            admission.again = taken.wait;
        }
        match taken.why {
            Some(FlowLimit::Open) => shard.flows.set_open(id, Some(taken.wait)),
            Some(FlowLimit::Trial) => admission.admitted = Admitted::Trial,
            // Another worker has closed the breaker.
            _ if shard.flows.is_open(id) => shard.flows.set_open(id, None),
            _ => {}
        }
    }
    let again = admission.again;
    // Before the call: a job may arrive before the reply.
    shard.flows.expect(id, admission.count);
    let (moved, left) = shard.queue.admit(id, &admission).await?;
    shard.flows.expect_fewer(id, admission.count.saturating_sub(moved));
    if left > 0 {
        shard.held.insert(id);
        shard.alarm.due_in(again);
    } else {
        shard.held.remove(id);
    }
    Ok(())
}
