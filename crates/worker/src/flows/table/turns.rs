//! The turns of flows that wait for the share of attempts on probation. Pure.

use std::time::Instant;

use postrider_queue::job::FlowId;

use super::FlowTable;

impl FlowTable {
    /// The flow waits for the share of attempts on probation, since a job of it has come.
    pub(in crate::flows) fn wait(&mut self, id: FlowId, now: Instant) {
        if let Some(shared) = &self.shared {
            shared.job_came(id, now);
        }
        self.push_waiting(id, now, now);
    }

    pub(super) fn push_waiting(&mut self, id: FlowId, came: Instant, now: Instant) {
        if self.flow(id, now).is_tried {
            self.waiting.push_tried(id);
        } else {
            self.waiting.push_untried(id, came);
        }
    }

    /// The flow whose turn it is, if the share of attempts on probation has room.
    pub(in crate::flows) fn next_waiting(&mut self, now: Instant) -> Option<FlowId> {
        self.find_silent(now);
        if self.waiting.is_empty() || self.share.room_for_held(self.slow, now) == 0 {
            return None;
        }
        let next = self.waiting.pop()?;
        self.flow(next, now).has_turn = true;
        // Keeps the place until the flow's jobs are admitted.
        self.share.expected.add(1, now);
        Some(next)
    }
}
