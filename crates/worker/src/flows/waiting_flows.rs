//! The flows whose jobs wait for the share of attempts on probation. Pure.

use std::collections::{HashSet, VecDeque};

use postrider_queue::job::FlowId;

/// Flows that wait: untried flows first, the newest of them first, then the others in turn.
#[derive(Debug, Default)]
pub(super) struct WaitingFlows {
    untried: VecDeque<FlowId>,
    tried: VecDeque<FlowId>,
    known: HashSet<FlowId>,
}

impl WaitingFlows {
    /// How many flows of each kind it remembers. Any further one waits for its next check in Redis.
    const FLOWS_MAX: usize = 4096;

    /// Adds a flow.
    pub(super) fn push(&mut self, id: FlowId, is_tried: bool) {
        if !self.known.insert(id) {
            return;
        }
        let dropped = if is_tried {
            self.tried.push_back(id);
            (self.tried.len() > Self::FLOWS_MAX).then(|| self.tried.pop_front())
        } else {
            self.untried.push_front(id);
            (self.untried.len() > Self::FLOWS_MAX).then(|| self.untried.pop_back())
        };
        if let Some(Some(dropped)) = dropped {
            self.known.remove(&dropped);
        }
    }

    /// Removes and returns the flow whose turn it is.
    pub(super) fn pop(&mut self) -> Option<FlowId> {
        let id = self.untried.pop_front().or_else(|| self.tried.pop_front())?;
        self.known.remove(&id);
        Some(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_untried_flow_comes_first() {
        let mut waiting = WaitingFlows::default();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(FlowId::of);
        for (id, is_tried) in [(a, true), (b, false), (c, true), (d, false), (b, false), (a, false)] {
            waiting.push(id, is_tried);
        }
        let order: Vec<FlowId> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(order, [d, b, a, c]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn any_number_of_flows_takes_bounded_memory() {
        let mut waiting = WaitingFlows::default();
        for number in 0..3 * WaitingFlows::FLOWS_MAX {
            waiting.push(FlowId::of(&number.to_string()), number % 2 == 0);
        }
        assert_eq!(waiting.known.len(), waiting.tried.len() + waiting.untried.len());
        assert!(waiting.known.len() <= 2 * WaitingFlows::FLOWS_MAX);
        let newest = 3 * WaitingFlows::FLOWS_MAX - 1;
        assert_eq!(waiting.pop(), Some(FlowId::of(&newest.to_string())));
    }
}
