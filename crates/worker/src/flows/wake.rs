//! Jobs that wait for their flow: which flows those are, and how they come back.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use postrider_queue::Error;
use postrider_queue::job::{Admitted, FlowId};
use postrider_queue::work::{Admission, Asking, Why};
use tokio::sync::Notify;

use super::gate::{LOOK, ask_once};
use crate::shard::lane::Lane;

/// As many as one script call moves.
const MOST: usize = 100;

/// The flows that hold jobs of a lane back, as far as this worker knows.
#[derive(Debug, Default)]
pub struct Held {
    flows: Mutex<HashSet<FlowId>>,
    /// Those in which there is room again.
    wanted: Mutex<HashSet<FlowId>>,
    called: Notify,
}

impl Held {
    /// Whether jobs of the flow wait.
    pub fn contains(&self, id: FlowId) -> bool {
        self.flows().contains(&id)
    }

    /// A job of the flow waits.
    pub fn insert(&self, id: FlowId) {
        self.flows().insert(id);
    }

    /// Redis has told which they are.
    pub fn replace(&self, flows: &[FlowId]) {
        let mut held = self.flows();
        // Mostly there are none, and were none.
        if !held.is_empty() || !flows.is_empty() {
            held.clear();
            held.extend(flows);
        }
    }

    /// There may be room in the flow.
    pub(super) fn want(&self, id: FlowId) {
        self.wanted_now().insert(id);
        self.called.notify_one();
    }

    /// Waits for flows in which there may be room.
    pub async fn wanted(&self) -> Vec<FlowId> {
        loop {
            let wanted: Vec<FlowId> = self.wanted_now().drain().collect();
            if !wanted.is_empty() {
                return wanted;
            }
            self.called.notified().await;
        }
    }

    fn flows(&self) -> MutexGuard<'_, HashSet<FlowId>> {
        self.flows.lock().expect("nothing panics while it holds this lock")
    }

    fn wanted_now(&self) -> MutexGuard<'_, HashSet<FlowId>> {
        self.wanted.lock().expect("nothing panics while it holds this lock")
    }
}

/// Admits as many jobs as the flow may run now, those first that have waited longest.
///
/// # Errors
/// fred's.
pub async fn wake(lane: &Lane, id: FlowId) -> Result<(), Error> {
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
        lane.held.flows().remove(&id);
    }
    Ok(())
}
