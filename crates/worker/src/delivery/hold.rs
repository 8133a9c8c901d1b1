//! Why a job is held, and until when. Pure.

use std::time::Duration;

use postrider_queue::work::{FlowLimit, Grant, WaitReason};

/// The longest time between two checks of a flow that holds jobs.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time between two checks of a flow whose breaker is open: another worker may hold a job that could be a second
/// opinion, and has to find the flow due.
pub(super) const OPEN_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// A job must be held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    /// The time until the flow's next check, at the latest.
    pub(super) within: Duration,
    pub(super) why: WaitReason,
    /// Twice the number of the job's failures, and 1 more if jobs of its kind fail now. The flow admits others first.
    pub(super) rank: u32,
    /// Whether only this job waits, by the schedule, and not its flow.
    pub(super) is_scheduled: bool,
}

impl Hold {
    /// Because of a limit that this worker knows itself.
    pub(super) fn by(why: WaitReason) -> Self {
        Self::within(CHECK_INTERVAL, why)
    }

    /// Until the flow's next check after this time at the latest.
    pub(super) fn within(within: Duration, why: WaitReason) -> Self {
        Self { within, why, rank: 0, is_scheduled: false }
    }

    /// Because attempts whose destinations do not answer hold their whole share of the slots. A place may
    /// have become free before the job is held, so the flow is checked soon.
    pub(super) fn crowded() -> Self {
        Self::within(Duration::from_millis(100), WaitReason::Window)
    }

    /// Because of Redis' reply.
    pub(super) fn by_answer(taken: Grant) -> Self {
        let why = match taken.why {
            Some(FlowLimit::Asked) => WaitReason::RetryAfter,
            Some(FlowLimit::Open | FlowLimit::Trial) => WaitReason::Breaker,
            Some(FlowLimit::Rate) => WaitReason::Rate,
            Some(FlowLimit::Concurrency) => WaitReason::Concurrency,
            None => WaitReason::Redis,
        };
        Self::within(taken.wait, why)
    }
}
