//! What a worker knows of one flow. Pure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::expected::Expected;
use super::window::Window;

/// One flow.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) window: Window,
    /// The breaker is open until then, as far as this worker knows. After that, the worker asks Redis.
    pub(super) open_until: Option<Instant>,
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
            counted: 0,
            expected: Expected::new(now),
            is_tried: false,
            has_turn: false,
            room: None,
        }
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
            && self.open_until.is_none_or(|until| until < now)
    }
}
