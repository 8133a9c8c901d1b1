//! The flows that hold jobs of a shard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use foldhash::HashSet;
use postrider_queue::job::FlowId;
use tokio::sync::Notify;

/// The flows that hold jobs of a shard, as far as this worker knows.
#[derive(Debug, Default)]
pub(crate) struct HeldFlows {
    flows: Mutex<HashSet<FlowId>>,
    /// Flows that may have room again, in the order in which they are to be woken.
    wanted: Mutex<Vec<FlowId>>,
    called: Notify,
    /// Whether the queue is paused: then none of its held jobs may be admitted.
    is_paused: AtomicBool,
}

impl HeldFlows {
    /// Whether the flow holds jobs.
    pub(crate) fn contains(&self, id: FlowId) -> bool {
        self.flows().contains(&id)
    }

    /// Whether its held jobs may not be admitted, since the queue is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Sets whether the queue is paused.
    pub(crate) fn set_paused(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Relaxed);
    }

    /// Adds a flow that holds a job.
    pub(crate) fn insert(&self, id: FlowId) {
        self.flows().insert(id);
    }

    /// Replaces all flows with those that Redis has returned. Unless these are `all`, the known ones stay.
    /// Returns the flows that are new.
    pub(crate) fn replace(&self, flows: &[FlowId], all: bool) -> Vec<FlowId> {
        /// Beyond this number, the known ones are forgotten. Redis returns them when their checks are due.
        const FLOWS_MAX: usize = 65_536;
        let mut held = self.flows();
        let new = flows.iter().filter(|id| !held.contains(id)).copied().collect();
        if !all && held.len() < FLOWS_MAX {
            held.extend(flows);
            return new;
        }
        // Usually both are empty.
        if !held.is_empty() || !flows.is_empty() {
            held.clear();
            held.extend(flows);
        }
        new
    }

    /// Reports that the flow may have room.
    pub(crate) fn notify(&self, id: FlowId) {
        let mut wanted = self.wanted_now();
        // There are few, since each is woken within milliseconds.
        if !wanted.contains(&id) {
            wanted.push(id);
        }
        drop(wanted);
        self.called.notify_one();
    }

    /// Waits for flows that may have room.
    pub(crate) async fn next_notified(&self) -> Vec<FlowId> {
        loop {
            let wanted = std::mem::take(&mut *self.wanted_now());
            if !wanted.is_empty() {
                return wanted;
            }
            self.called.notified().await;
        }
    }

    /// Removes a flow that holds no more jobs.
    pub(crate) fn remove(&self, id: FlowId) {
        self.flows().remove(&id);
    }

    fn flows(&self) -> MutexGuard<'_, HashSet<FlowId>> {
        self.flows.lock().expect("nothing panics while it holds this lock")
    }

    fn wanted_now(&self) -> MutexGuard<'_, Vec<FlowId>> {
        self.wanted.lock().expect("nothing panics while it holds this lock")
    }
}
