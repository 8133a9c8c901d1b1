//! What the threads of a process have learned of flows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use foldhash::HashMap;
use postrider_queue::job::FlowId;

/// A flow that has answered within this time is proven.
pub(super) const PROVEN_FOR: Duration = Duration::from_secs(60);

/// What the threads of a process share about flows: which have answered, and which have stopped. Slots, windows and attempts are
/// each thread's own, so that one that is held up holds up no other. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedFlows(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    flows: Mutex<HashMap<FlowId, Known>>,
    silences: AtomicU64,
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// When it last answered.
    pub(super) answered: Option<Instant>,
    /// How long its answers usually take.
    pub(super) usual: Duration,
    /// When an attempt last fell silent.
    pub(super) silent: Option<Instant>,
    /// When its first job came that had to wait.
    pub(super) came: Option<Instant>,
}

impl SharedFlows {
    /// Flows that are remembered. If more were heard of within a minute, all are forgotten, and learned again.
    const FLOWS_MAX: usize = 65_536;

    /// How many attempts have fallen silent. While this is the same, no flow has stopped.
    pub(super) fn silences(&self) -> u64 {
        self.0.silences.load(Ordering::Acquire)
    }

    pub(super) fn get(&self, id: FlowId) -> Option<Known> {
        self.lock().get(&id).copied()
    }

    pub(super) fn answered(&self, id: FlowId, at: Instant, usual: Duration) {
        let mut flows = self.lock();
        let known = Self::entry(&mut flows, id, at);
        (known.answered, known.usual) = (known.answered.max(Some(at)), usual);
    }

    pub(super) fn fell_silent(&self, id: FlowId, at: Instant) {
        let mut flows = self.lock();
        let known = Self::entry(&mut flows, id, at);
        known.silent = known.silent.max(Some(at));
        self.0.silences.fetch_add(1, Ordering::Release);
    }

    /// A job came that has to wait.
    pub(super) fn job_came(&self, id: FlowId, at: Instant) {
        let mut flows = self.lock();
        Self::entry(&mut flows, id, at).came.get_or_insert(at);
    }

    fn entry(flows: &mut HashMap<FlowId, Known>, id: FlowId, now: Instant) -> &mut Known {
        if flows.len() >= Self::FLOWS_MAX && !flows.contains_key(&id) {
            let is_recent = |at: Instant| now.saturating_duration_since(at) <= PROVEN_FOR;
            flows.retain(|_, known| known.answered.max(known.silent).max(known.came).is_some_and(is_recent));
            if flows.len() >= Self::FLOWS_MAX {
                flows.clear();
            }
        }
        flows.entry(id).or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FlowId, Known>> {
        self.0.flows.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_that_were_heard_of_lately_are_kept_and_their_number_is_limited() {
        let (flows, start) = (SharedFlows::default(), Instant::now());
        let id = |number: usize| FlowId::of(&number.to_string());
        for number in 0..SharedFlows::FLOWS_MAX {
            flows.answered(id(number), start, Duration::ZERO);
        }
        flows.answered(id(0), start + PROVEN_FOR, Duration::ZERO);
        flows.fell_silent(id(1), start + PROVEN_FOR);
        let later = start + PROVEN_FOR + Duration::from_millis(1);
        flows.job_came(id(2), start + PROVEN_FOR);
        flows.answered(FlowId::of("new"), later, Duration::ZERO);
        assert_eq!((flows.lock().len(), flows.silences()), (4, 1));
        let known = Known {
            answered: Some(start),
            usual: Duration::ZERO,
            silent: Some(start + PROVEN_FOR),
            came: None,
        };
        assert_eq!((flows.get(id(1)), flows.get(id(9))), (Some(known), None));
        for number in 0..2 * SharedFlows::FLOWS_MAX {
            flows.fell_silent(id(number), later);
            assert!(flows.lock().len() <= SharedFlows::FLOWS_MAX);
        }
    }
}
