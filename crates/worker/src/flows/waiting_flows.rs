//! The flows whose jobs wait for the share of attempts on probation. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use foldhash::HashSet;
use postrider_queue::job::FlowId;

/// Flows that wait: untried flows first, the newest of them first, then the others in turn.
#[derive(Debug, Default)]
pub(super) struct WaitingFlows {
    /// By the time when the first job came, and a number, since several may come at a time.
    untried: BTreeMap<(Instant, u64), FlowId>,
    tried: VecDeque<FlowId>,
    known: HashSet<FlowId>,
    number: u64,
}

impl WaitingFlows {
    /// How many flows of each kind it remembers. Any further one waits for its next check in Redis.
    const FLOWS_MAX: usize = 4096;

    /// Adds a flow that was tried before.
    pub(super) fn push_tried(&mut self, id: FlowId) {
        if self.known.insert(id) {
            self.tried.push_back(id);
            let dropped = (self.tried.len() > Self::FLOWS_MAX).then(|| self.tried.pop_front()).flatten();
            dropped.map(|id| self.known.remove(&id));
        }
    }

    /// Adds a flow that was not tried before. Its first job came then.
    pub(super) fn push_untried(&mut self, id: FlowId, came: Instant) {
        if self.known.insert(id) {
            self.number += 1;
            self.untried.insert((came, self.number), id);
            let dropped = (self.untried.len() > Self::FLOWS_MAX).then(|| self.untried.pop_first()).flatten();
            dropped.map(|(_, id)| self.known.remove(&id));
        }
    }

    /// Removes and returns the flow whose turn it is.
    pub(super) fn pop(&mut self) -> Option<FlowId> {
        let untried = self.untried.pop_last().map(|(_, id)| id);
        let id = untried.or_else(|| self.tried.pop_front())?;
        self.known.remove(&id);
        Some(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_untried_flow_comes_first() {
        let mut waiting = WaitingFlows::default();
        let ([a, b, c, d, e], now) = (["a", "b", "c", "d", "e"].map(FlowId::of), Instant::now());
        [a, c].into_iter().for_each(|id| waiting.push_tried(id));
        [b, d, b, a].into_iter().for_each(|id| waiting.push_untried(id, now));
        waiting.push_untried(e, now - Duration::from_secs(1));
        let order: Vec<FlowId> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(order, [d, b, e, a, c], "the first job of `e` came elsewhere, and earlier");
        assert!(waiting.is_empty());
    }

    #[test]
    fn any_number_of_flows_takes_bounded_memory() {
        let mut waiting = WaitingFlows::default();
        for number in 0..3 * WaitingFlows::FLOWS_MAX {
            let id = FlowId::of(&number.to_string());
            if number % 2 == 0 {
                waiting.push_tried(id);
            } else {
                waiting.push_untried(id, Instant::now());
            }
        }
        assert_eq!(waiting.known.len(), waiting.tried.len() + waiting.untried.len());
        assert!(waiting.known.len() <= 2 * WaitingFlows::FLOWS_MAX);
        let newest = 3 * WaitingFlows::FLOWS_MAX - 1;
        assert_eq!(waiting.pop(), Some(FlowId::of(&newest.to_string())));
    }
}
