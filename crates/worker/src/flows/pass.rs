//! The right to make an attempt, and the right to wait for it in a slot.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use postrider_queue::job::FlowId;
use tokio::sync::Notify;

use super::Flows;
use super::flow::AttemptEnd;
use super::silence::AttemptKey;
use super::window::Verdict;

/// Whether an attempt may begin.
pub(crate) enum EnterResult {
    /// The attempt has begun.
    Go(Pass),
    /// The limit is reached. Waiters are notified when an attempt ends, which is soon for a brisk flow.
    Full { room: Arc<Notify>, is_brisk: bool },
    /// Attempts whose destinations do not answer hold their whole share of the slots.
    Crowded,
    /// The destination asked to wait for this time.
    Asked(Duration),
    /// The breaker is open for this time.
    Open(Duration),
    /// The breaker was open. Redis decides which worker makes the trial.
    Trial,
}

/// An attempt under way. Dropping it ends the attempt.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(super) flows: Flows,
    /// The attempt's flow.
    pub(crate) id: FlowId,
    pub(super) key: AttemptKey,
    /// Whether Redis counts it.
    pub(crate) is_counted: bool,
    /// Whether it is a trial. Any result of a trial is reported to Redis.
    pub(crate) is_trial: bool,
    pub(super) has_ended: bool,
}

impl Pass {
    /// Ends the attempt. `end` is `None` if it shows nothing about the destination. Returns what it shows.
    pub(crate) fn end(mut self, end: Option<AttemptEnd>) -> Option<Verdict> {
        self.has_ended = true;
        self.leave(end)
    }

    fn leave(&self, end: Option<AttemptEnd>) -> Option<Verdict> {
        let mut table = self.flows.lock();
        if self.is_counted {
            table.uncount(self.id);
        }
        table.leave(self.key, end, Instant::now())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.has_ended {
            self.leave(None);
        }
    }
}

/// The right of a job to wait in its slot for room. Few have it at once, since they keep others from the slots.
#[derive(Debug)]
pub(crate) struct SlotWait(pub(super) Flows);

impl Drop for SlotWait {
    fn drop(&mut self) {
        self.0.0.waiting_in_slots.fetch_sub(1, Ordering::Relaxed);
    }
}
