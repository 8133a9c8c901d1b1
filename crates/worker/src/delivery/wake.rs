//! Lets jobs go that wait for their flow.

use postrider_queue::Error;
use postrider_queue::job::{Admitted, FlowId};
use postrider_queue::work::{Admission, Asking, Why};

use super::gate::ask_once;
use super::hold::LOOK;
use crate::shard::lane::Lane;

/// As many as one script call moves.
const MOST: usize = 100;

/// Admits as many jobs as the flow may run now, those first that have waited longest.
///
/// # Errors
/// fred's.
pub(crate) async fn wake(lane: &Lane, id: FlowId) -> Result<(), Error> {
    let mut room = lane.flows.room(id).min(MOST);
    let mut admission =
        Admission { count: 0, admitted: Admitted::Yes, again: LOOK, older_than: lane.oldest() };
    if room > 0 && lane.flows.limits(id).rate.is_some() {
        // A token that is taken for nobody is lost.
        let (_, waiting) = lane.queue.admit(id, &admission).await?;
        room = room.min(waiting as usize);
    }
    if room > 0 {
        let asking = Asking {
            making: lane.flows.counted(id),
            more: room,
            is_made: false,
            is_paid: false,
            is_past_breaker: false,
        };
        let taken = ask_once(lane, id, asking).await?;
        admission.count = taken.granted;
        if taken.why.is_some() {
            admission.again = taken.wait;
        }
        match taken.why {
            Some(Why::Open) => lane.flows.set_open(id, Some(taken.wait)),
            Some(Why::Trial) => admission.admitted = Admitted::Trial,
            // Another worker has found that it works.
            _ if lane.flows.is_open(id) => lane.flows.set_open(id, None),
            _ => {}
        }
    }
    let again = admission.again;
    // Before the call: a job may come before its answer does.
    lane.flows.expect(id, admission.count);
    let (moved, left) = lane.queue.admit(id, &admission).await?;
    lane.flows.expect_fewer(id, admission.count.saturating_sub(moved));
    if left > 0 {
        lane.held.insert(id);
        lane.alarm.due_in(again);
    } else {
        lane.held.remove(id);
    }
    Ok(())
}
