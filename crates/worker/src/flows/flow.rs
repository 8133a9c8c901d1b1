//! What a worker knows of one flow. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_queue::job::FlowId;
use tokio::sync::Notify;

use super::evidence::Evidence;
use super::expected::Expected;
use super::shared::SharedFlows;
use super::silence::TrackedAttempt;
use super::window::{Verdict, Window};

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptEnd {
    pub(crate) verdict: Verdict,
    /// Whether the job waited for an answer until its deadline.
    pub(crate) is_timeout: bool,
    /// Identifies the job of a failure; 0 for all others.
    pub(crate) job: u64,
}

/// One flow.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) window: Window,
    /// The breaker is open until then, as far as this worker knows. After that, the worker asks Redis.
    pub(super) open_until: Option<Instant>,
    /// Whether the breaker is open for this worker alone, since others reach the destination.
    pub(super) is_open_alone: bool,
    /// The destination has asked to wait until then.
    pub(super) hold_until: Option<Instant>,
    /// Whether another worker has begun to hold its jobs, so that the next job asks Redis.
    pub(super) must_ask: bool,
    /// Whether it has a rate that was learned from its destination. All workers share it.
    pub(super) has_learned_rate: bool,
    /// What failures have shown.
    pub(super) evidence: Evidence,
    /// The destination of its jobs, if they name the flow, and whether they have had several.
    pub(super) host: Option<FlowId>,
    pub(super) has_several_hosts: bool,
    /// Attempts that Redis counts as this worker's.
    pub(super) counted: usize,
    /// Held jobs that were admitted and have not arrived yet.
    pub(super) expected: Expected,
    /// Whether an attempt has begun.
    pub(super) is_tried: bool,
    /// Attempts on probation under way.
    pub(super) on_probation: usize,
    /// Whether it is this flow's turn to get a place in the share of attempts on probation.
    pub(super) has_turn: bool,
    /// Notifies tasks that wait for room.
    pub(super) room: Option<Arc<Notify>>,
    /// When other threads of the process were last informed of an answer.
    shared: Option<Instant>,
    /// How many attempts had fallen silent when it was last asked what other threads know.
    silences: u64,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            window: Window::new(now),
            open_until: None,
            is_open_alone: false,
            hold_until: None,
            must_ask: false,
            has_learned_rate: false,
            evidence: Evidence::default(),
            host: None,
            has_several_hosts: false,
            counted: 0,
            expected: Expected::new(now),
            is_tried: false,
            on_probation: 0,
            has_turn: false,
            room: None,
            shared: None,
            silences: 0,
        }
    }

    /// Judges the end of an attempt. `None` if it shows nothing about the destination: it was cut short, or its
    /// failure is the job's own. The latter is so where the job gave up earlier than the flow usually answers,
    /// and where it has failed before while others were answered.
    pub(super) fn judge(
        &mut self,
        end: AttemptEnd,
        attempt: &TrackedAttempt,
        took: Duration,
        now: Instant,
    ) -> Option<Verdict> {
        if end.verdict != Verdict::Fails {
            self.evidence.succeeded(attempt.kind, attempt.has_failed);
            return Some(end.verdict);
        }
        let is_proven = self.open_until.is_none() && self.window.is_proven(now);
        if end.is_timeout && self.window.is_early(took) || attempt.has_failed && is_proven {
            return None;
        }
        self.evidence.failed(attempt.kind, end.job);
        Some(Verdict::Fails)
    }

    /// Whether an answer has come now that other threads of the process are to know.
    pub(super) fn has_news(&mut self, was_stuck: bool, now: Instant) -> bool {
        /// They need not know each.
        const INTERVAL: Duration = Duration::from_millis(50);
        let is_early = self.shared.is_some_and(|at| now.saturating_duration_since(at) < INTERVAL);
        let has_news = self.window.has_answered_at(now) && (was_stuck || !is_early);
        if has_news {
            self.shared = Some(now);
        }
        has_news
    }

    /// Learns what other threads of the process know, if that may be news.
    pub(super) fn learn(&mut self, id: FlowId, shared: &SharedFlows, now: Instant) {
        let silences = shared.silences();
        if silences == self.silences && !self.window.is_on_probation(false, now) {
            return;
        }
        self.silences = silences;
        if let Some(known) = shared.get(id) {
            self.is_tried |= known.answered.max(known.silent).is_some();
            self.window.learn(known, now);
        }
    }

    /// Attempts under way that are not on probation if the flow is slow, else 0.
    pub(super) fn slow(&self) -> usize {
        if self.window.slow { self.window.in_flight.saturating_sub(self.on_probation) } else { 0 }
    }

    /// Whether a job that has not failed before would be an attempt on probation.
    pub(super) fn needs_share(&self, now: Instant) -> bool {
        self.open_until.is_some() || self.window.is_on_probation(false, now)
    }

    pub(super) fn is_stale(&self, after: Duration, now: Instant) -> bool {
        self.window.is_stale(after, now)
            && self.counted == 0
            && [self.open_until, self.hold_until].into_iter().flatten().all(|until| until < now)
    }
}
