//! Limits the concurrent attempts of one flow in a worker, by how its destination responds. Pure.
//!
//! A flow begins with a few attempts, and each response raises its limit, as in TCP's slow start. So a dead
//! destination holds few slots before it is known to be dead. Slow flows share a limit on the slots that they
//! hold together. A flow that has stopped responding makes one attempt at a time, on probation.

mod accepted;
mod load;

use std::time::{Duration, Instant};

use super::shared::{Known, PROVEN_FOR};
use super::silence::{SILENT_AFTER, SILENT_AFTER_MIN};
use accepted::Accepted;
pub(super) use load::WorkerLoad;
use load::left_to_others;

/// Limit of concurrent attempts of a new flow.
pub(super) const INITIAL_ATTEMPTS: usize = 4;
/// An attempt that takes longer makes its flow slow. One that takes less than half makes it fast again.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// A flow with [`INITIAL_ATTEMPTS`] attempts under way and no response for this time has stopped responding.
const STALL_AFTER: Duration = Duration::from_millis(250);
/// The same for a flow whose answers take longer than that: as long as an answer usually takes, but not longer than this.
const SLOW_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long a job in a slot waits for room: most attempts end soon, and holding a job costs more.
pub(crate) const SLOT_WAIT_MAX: Duration = Duration::from_millis(50);

/// What the result of an attempt shows about its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It responded.
    Works,
    /// It responded that there were too many requests.
    TooMany,
    /// It did not respond, or a gateway in front of it reported so.
    Fails,
}

/// The limit of one flow in one worker, and what it depends on.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Attempts under way.
    pub(super) in_flight: usize,
    /// Attempts under way that have been silent for long.
    silent: usize,
    /// Silent attempts that began before the last response: the flow answers while they hang.
    outlived: usize,
    /// Limit of attempts under way, without silent ones.
    size: usize,
    /// Consecutive failures.
    pub(super) failures: u32,
    /// Consecutive responses.
    answers: u32,
    /// Whether its responses take long.
    pub(super) slow: bool,
    /// Whether its last response came within [`SLOT_WAIT_MAX`].
    quick: bool,
    /// When an attempt last fell silent, if that is since the last response.
    stuck_since: Option<Instant>,
    /// When it last responded.
    answered: Option<Instant>,
    /// How long its responses usually take: a moving average.
    usual: Duration,
    accepted: Accepted,
    /// When an attempt last ended, or when the first of those that are not silent began.
    moved: Instant,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            in_flight: 0,
            silent: 0,
            outlived: 0,
            size: INITIAL_ATTEMPTS,
            failures: 0,
            answers: 0,
            slow: false,
            quick: false,
            stuck_since: None,
            answered: None,
            usual: Duration::ZERO,
            accepted: Accepted::new(now),
            moved: now,
        }
    }

    /// How many more attempts may begin now.
    pub(super) fn room(&self, load: WorkerLoad, now: Instant) -> usize {
        let active = self.active();
        // Attempts that begin together end together, so a slow flow may pause for as long as an answer takes.
        let pause = STALL_AFTER.max(self.usual.min(SLOW_PAUSE_MAX));
        if active >= INITIAL_ATTEMPTS && now.saturating_duration_since(self.moved) > pause {
            return 0;
        }
        if !self.is_proven(now) && load.others_wait {
            return usize::from(self.in_flight == 0);
        }
        let is_suspect = load.suspicious_since.is_some_and(|since| self.answered <= Some(since));
        if self.is_stuck() || is_suspect {
            return usize::from(active == 0);
        }
        let all_for_one = load.slots - left_to_others(load.slots);
        let mut most = self.size.min(all_for_one.saturating_sub(self.silent));
        if self.slow {
            // A slow flow gets at most three times the slots that slow flows leave free, so that they never take
            // all together (dynamic thresholds: Choudhury and Hahne, 1998). One that is nearly alone gets more,
            // and gives back two slots for each that the others take.
            let others = load.busy.saturating_sub(self.in_flight);
            most = most.min((3 * load.free).max(all_for_one.saturating_sub(2 * others)));
        }
        most.max(1).saturating_sub(active)
    }

    /// Whether it has answered lately, however slowly.
    pub(super) fn is_proven(&self, now: Instant) -> bool {
        self.answered.is_some_and(|answered| now.saturating_duration_since(answered) <= PROVEN_FOR)
    }

    /// Whether it has answered within the last seconds, and several times without a failure between.
    pub(super) fn works(&self, now: Instant) -> bool {
        const SECONDS: Duration = Duration::from_secs(5);
        const ANSWERS_MIN: u32 = 3;
        let answered = self.answered.is_some_and(|at| now.saturating_duration_since(at) <= SECONDS);
        answered && self.answers >= ANSWERS_MIN
    }

    /// Whether a new attempt is on probation: the flow has not answered lately, or seems to have stopped. So
    /// is an attempt of a job that has failed before, while an attempt of its flow is silent: the job may be
    /// the cause.
    pub(super) fn is_on_probation(&self, has_failed: bool, now: Instant) -> bool {
        let is_late =
            self.active() > 0 && now.saturating_duration_since(self.moved) > STALL_AFTER.max(4 * self.usual);
        let seems_stopped = (self.is_stuck() || is_late) && self.outlived == 0;
        !self.is_proven(now) || seems_stopped || has_failed && self.has_silent()
    }

    /// Whether an attempt under way has been silent for long.
    pub(super) fn has_silent(&self) -> bool {
        self.silent > 0
    }

    /// How long an attempt may take before it counts as silent. A flow that usually answers quickly is given
    /// less time, and one that answers slowly more.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        if !self.is_proven(now) {
            return SILENT_AFTER;
        }
        SILENT_AFTER.max(2 * self.usual).min(8 * self.usual).max(SILENT_AFTER_MIN)
    }

    /// Whether it responds so fast that a job that waits in its slot gets room before it must be held.
    pub(super) fn is_brisk(&self, now: Instant) -> bool {
        self.quick && self.failures == 0 && now.saturating_duration_since(self.moved) <= STALL_AFTER
    }

    /// Half of the limit, rounded up.
    pub(super) fn half(&self) -> usize {
        self.size.div_ceil(2)
    }

    /// How many held jobs may return although there is no room: half of the limit if the flow is brisk.
    /// Otherwise they would wait as long as the stream has other jobs.
    pub(super) fn returning(&self, now: Instant) -> usize {
        if self.is_brisk(now) { self.half() } else { 0 }
    }

    fn active(&self) -> usize {
        self.in_flight.saturating_sub(self.silent)
    }

    pub(super) fn begin(&mut self, now: Instant) {
        if self.active() == 0 {
            self.moved = now;
        }
        self.in_flight += 1;
    }

    /// An attempt under way has been silent for long.
    pub(super) fn fell_silent(&mut self, now: Instant) {
        self.silent += 1;
        self.stuck_since = Some(now);
    }

    /// Records the end of an attempt. `verdict` is `None` if the attempt was cut short.
    pub(super) fn end(
        &mut self,
        verdict: Option<Verdict>,
        was_silent: bool,
        took: Duration,
        slots: usize,
        now: Instant,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.silent = self.silent.saturating_sub(usize::from(was_silent));
        let was_outlived = was_silent && self.answered.is_some_and(|at| at + took > now);
        self.outlived = self.outlived.saturating_sub(usize::from(was_outlived)).min(self.silent);
        let Some(verdict) = verdict else { return };
        self.moved = now;
        match verdict {
            Verdict::Works => {
                self.size = (self.size + 1).min(slots.max(INITIAL_ATTEMPTS));
                self.failures = 0;
            }
            Verdict::TooMany => {
                self.size = (self.size / 2).max(1);
                self.failures = 0;
            }
            // One failure may be the job's own.
            Verdict::Fails => {
                let less = if self.failures == 0 { self.size - 1 } else { self.size / 2 };
                self.size = less.max(1);
                self.failures = self.failures.saturating_add(1);
                self.answers = 0;
            }
        }
        self.quick = verdict == Verdict::Works && took <= SLOT_WAIT_MAX;
        if verdict != Verdict::Fails {
            self.answer(took, now);
        }
        if verdict == Verdict::Works {
            self.accepted.count(now);
        }
        if took > SLOW_AFTER {
            self.slow = true;
        } else if took < SLOW_AFTER / 2 {
            self.slow = false;
        }
    }

    /// How many attempts were accepted within the last second, about.
    pub(super) fn accepted(&mut self, now: Instant) -> u32 {
        self.accepted.lately(now)
    }

    /// Whether a job that waited for this time gave up earlier than the flow usually answers: within twice
    /// that time.
    pub(super) fn is_early(&self, took: Duration) -> bool {
        self.answered.is_some() && took < 2 * self.usual
    }

    fn answer(&mut self, took: Duration, now: Instant) {
        self.usual = if self.answered.is_some() { (7 * self.usual + took) / 8 } else { took };
        self.answered = Some(now);
        self.answers = self.answers.saturating_add(1);
        self.stuck_since = None;
        self.outlived = self.silent;
    }

    /// Whether an attempt has fallen silent since the last response.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck_since.is_some()
    }

    /// How long its responses usually take.
    pub(super) fn usual(&self) -> Duration {
        self.usual
    }

    pub(super) fn has_answered_at(&self, now: Instant) -> bool {
        self.answered == Some(now)
    }

    /// Takes over what another thread of the process knows: a later response, or that it has stopped since.
    pub(super) fn learn(&mut self, known: Known, now: Instant) {
        if let Some(at) = known.answered.filter(|at| self.answered < Some(*at)) {
            if !self.is_proven(now) {
                self.usual = known.usual;
            }
            self.answered = Some(at);
            self.moved = self.moved.max(at);
            if self.stuck_since <= Some(at) {
                self.stuck_since = None;
                self.outlived = self.silent;
            }
        }
        if known.silent > self.answered {
            self.stuck_since = self.stuck_since.max(known.silent);
        }
    }

    /// Whether the flow can be forgotten after this time: a later job begins with a new window.
    pub(super) fn is_stale(&self, after: Duration, now: Instant) -> bool {
        self.in_flight == 0 && now.saturating_duration_since(self.moved) > after
    }
}

#[cfg(test)]
mod tests;
