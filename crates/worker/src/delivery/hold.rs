//! Why a job may not go now, and until when. Pure.

use std::time::Duration;

use postrider_queue::work::{FlowLimit, Grant, WaitReason};

/// A flow that holds jobs back is looked after so often at least.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// A job may not go now.
pub(super) struct Hold {
    /// After how long its flow is asked again at the latest.
    pub(super) within: Duration,
    pub(super) why: WaitReason,
}

impl Hold {
    /// By what this worker knows itself.
    pub(super) fn by(why: WaitReason) -> Self {
        Self { within: LOOK, why }
    }

    /// By what Redis has answered.
    pub(super) fn by_answer(taken: Grant) -> Self {
        let why = match taken.why {
            Some(FlowLimit::Open | FlowLimit::Trial) => WaitReason::Breaker,
            Some(FlowLimit::Rate) => WaitReason::Rate,
            Some(FlowLimit::Concurrency) => WaitReason::Concurrency,
            None => WaitReason::Redis,
        };
        Self { within: taken.wait, why }
    }
}
