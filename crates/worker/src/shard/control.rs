//! The pauses and the other settings of operators for all workers, as this worker knows them.

use std::sync::Arc;

use postrider_queue::job::FlowId;
use postrider_queue::work::Control;
use tokio::sync::watch;

/// What applies now. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct CurrentControl(watch::Receiver<Arc<Control>>);

impl CurrentControl {
    /// What this channel holds.
    pub(crate) fn new(control: watch::Receiver<Arc<Control>>) -> Self {
        Self(control)
    }

    /// What applies now. Without an allocation.
    pub(crate) fn get(&self) -> Arc<Control> {
        self.0.borrow().clone()
    }

    /// Whether a queue is paused.
    pub(crate) fn pauses_queue(&self, queue: &str) -> bool {
        self.0.borrow().pauses_queue(queue)
    }

    /// Whether a flow is paused.
    pub(crate) fn pauses_flow(&self, flow: FlowId) -> bool {
        self.0.borrow().pauses_flow(flow)
    }

    /// Waits for a change that this clone has not seen.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The worker ends.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until a queue is paused.
    pub(crate) async fn paused(&mut self, queue: &str) {
        while !self.pauses_queue(queue) {
            self.changed().await;
        }
    }
}
