//! The flows that hold jobs of a shard.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use postrider_queue::job::FlowId;
use tokio::sync::Notify;

/// The flows that hold jobs of a shard, as far as this worker knows.
#[derive(Debug, Default)]
pub(crate) struct Held {
    flows: Mutex<HashSet<FlowId>>,
    /// Flows that may have room again.
    wanted: Mutex<HashSet<FlowId>>,
    called: Notify,
}

impl Held {
    /// Whether the flow holds jobs.
    pub(crate) fn contains(&self, id: FlowId) -> bool {
        self.flows().contains(&id)
    }

    /// Adds a flow that holds a job.
    pub(crate) fn insert(&self, id: FlowId) {
        self.flows().insert(id);
    }

    /// Replaces all flows with those that Redis has returned.
    pub(crate) fn replace(&self, flows: &[FlowId]) {
        let mut held = self.flows();
        // Usually both are empty.
        if !held.is_empty() || !flows.is_empty() {
            held.clear();
            held.extend(flows);
        }
    }

    /// Reports that the flow may have room.
    pub(crate) fn want(&self, id: FlowId) {
        self.wanted_now().insert(id);
        self.called.notify_one();
    }

    /// Waits for flows that may have room.
    pub(crate) async fn wanted(&self) -> Vec<FlowId> {
        loop {
            let wanted: Vec<FlowId> = self.wanted_now().drain().collect();
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

    fn wanted_now(&self) -> MutexGuard<'_, HashSet<FlowId>> {
        self.wanted.lock().expect("nothing panics while it holds this lock")
    }
}
