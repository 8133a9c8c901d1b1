//! What a worker knows of one flow. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_queue::job::FlowId;
use tokio::sync::Notify;

use super::evidence::Evidence;
use super::expected::Expected;
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
    /// Whether it is this flow's turn to get a place in the share of attempts on probation.
    pub(super) has_turn: bool,
    /// Notifies tasks that wait for room.
    pub(super) room: Option<Arc<Notify>>,
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
            has_turn: false,
            room: None,
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

    /// Attempts under way if the flow is slow, else 0.
    pub(super) fn slow(&self) -> usize {
        if self.window.slow { self.window.in_flight } else { 0 }
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
