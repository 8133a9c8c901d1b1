//! The attempts under way, and which of them have been silent for long. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use postrider_queue::job::FlowId;

use super::candidate::Candidate;
use super::evidence::JobKind;

/// An attempt that takes longer is silent, if nothing is known about its flow.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(1);
/// An attempt that takes less is never silent.
pub(super) const SILENT_AFTER_MIN: Duration = Duration::from_millis(100);

/// One attempt under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrackedAttempt {
    number: u64,
    pub(super) flow: FlowId,
    pub(super) began: Instant,
    /// Whether it is on probation.
    pub(super) on_probation: bool,
    /// Whether it has been silent for long.
    pub(super) is_silent: bool,
    /// The kind of its job.
    pub(super) kind: JobKind,
    /// Whether its job has failed before.
    pub(super) has_failed: bool,
}

/// Identifies an attempt under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttemptKey {
    index: usize,
    number: u64,
}

/// All attempts under way. Each call takes constant time on average. Memory is bounded by the attempts under
/// way and those that began within [`SILENT_AFTER_MIN`].
#[derive(Debug, Default)]
pub(super) struct Attempts {
    all: Vec<TrackedAttempt>,
    free: Vec<usize>,
    /// In the order of their begin. Some have ended.
    young: VecDeque<AttemptKey>,
    /// Attempts that take long, by the time when they count as silent. Some have ended.
    patient: BTreeMap<(Instant, u64), AttemptKey>,
    next_number: u64,
}

impl Attempts {
    pub(super) fn begin(&mut self, job: &Candidate, on_probation: bool, now: Instant) -> AttemptKey {
        self.next_number += 1;
        let number = self.next_number;
        let Candidate { flow, kind, has_failed, .. } = *job;
        let attempt =
            TrackedAttempt { number, flow, began: now, on_probation, is_silent: false, kind, has_failed };
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.all.push(attempt);
                self.all.len() - 1
            }
        };
        self.all[index] = attempt;
        let key = AttemptKey { index, number };
        self.young.push_back(key);
        key
    }

    pub(super) fn end(&mut self, key: AttemptKey) -> TrackedAttempt {
        let ended = self.all[key.index];
        self.all[key.index].number = 0;
        self.free.push(key.index);
        while self.young.front().is_some_and(|first| self.get(*first).is_none()) {
            self.young.pop_front();
        }
        ended
    }

    /// Returns one attempt that has become silent since the last call. `patience` is how long an attempt of a
    /// flow may take, at least [`SILENT_AFTER_MIN`].
    pub(super) fn next_silent(
        &mut self,
        now: Instant,
        patience: impl Fn(FlowId) -> Duration,
    ) -> Option<AttemptKey> {
        while let Some(&key) = self.young.front() {
            let attempt = self.get(key).copied();
            if attempt.is_some_and(|attempt| now.saturating_duration_since(attempt.began) <= SILENT_AFTER_MIN)
            {
                break;
            }
            self.young.pop_front();
            let Some(attempt) = attempt else { continue };
            self.patient.insert((attempt.began + patience(attempt.flow), key.number), key);
        }
        while let Some(first) = self.patient.first_entry().filter(|first| first.key().0 <= now) {
            let key = first.remove();
            if self.get(key).is_some() {
                return Some(key);
            }
        }
        None
    }

    pub(super) fn get_mut(&mut self, key: AttemptKey) -> &mut TrackedAttempt {
        &mut self.all[key.index]
    }

    pub(super) fn get(&self, key: AttemptKey) -> Option<&TrackedAttempt> {
        self.all.get(key.index).filter(|attempt| attempt.number == key.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(attempts: &mut Attempts, now: Instant, patience: Duration) -> Vec<AttemptKey> {
        std::iter::from_fn(|| attempts.next_silent(now, |_| patience)).collect()
    }

    #[test]
    fn an_attempt_is_silent_once_and_only_while_it_is_under_way() {
        let (start, flow) = (Instant::now(), FlowId::of("h:80"));
        let mut attempts = Attempts::default();
        let keys = [0, 1, 2]
            .map(|after| attempts.begin(&Candidate::of(flow), false, start + SILENT_AFTER * after / 4));
        attempts.end(keys[1]);
        assert_eq!(silent(&mut attempts, start + SILENT_AFTER_MIN, SILENT_AFTER), []);
        assert_eq!(silent(&mut attempts, start + SILENT_AFTER, SILENT_AFTER), [keys[0]]);
        assert_eq!(silent(&mut attempts, start + SILENT_AFTER * 2, SILENT_AFTER), [keys[2]]);
        assert_eq!(silent(&mut attempts, start + SILENT_AFTER * 9, SILENT_AFTER), []);
        let again = attempts.begin(&Candidate::of(flow), true, start);
        assert_eq!(again.index, keys[1].index, "places are used again");
        assert!(attempts.end(again).on_probation);
    }

    #[test]
    fn a_slow_flow_gets_more_time() {
        let (start, flow) = (Instant::now(), FlowId::of("h:80"));
        let mut attempts = Attempts::default();
        let [first, other] = [0, 1].map(|_| attempts.begin(&Candidate::of(flow), false, start));
        assert_eq!(silent(&mut attempts, start + SILENT_AFTER * 3, SILENT_AFTER * 5), []);
        attempts.end(other);
        assert_eq!(silent(&mut attempts, start + SILENT_AFTER * 5, SILENT_AFTER), [first]);
    }

    #[test]
    fn what_has_ended_takes_no_memory() {
        let (start, flow) = (Instant::now(), FlowId::of("h:80"));
        let mut attempts = Attempts::default();
        for _ in 0..1000 {
            let key = attempts.begin(&Candidate::of(flow), false, start);
            attempts.end(key);
        }
        assert_eq!((attempts.all.len(), attempts.young.len()), (1, 0));
    }
}
