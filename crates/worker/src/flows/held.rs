//! Which flows hold jobs of a shard back.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use postrider_queue::job::FlowId;
use tokio::sync::Notify;

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
    pub(crate) fn want(&self, id: FlowId) {
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

    /// No job of the flow waits any more.
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
