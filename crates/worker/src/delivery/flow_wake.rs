//! Admits held jobs.

use std::sync::Arc;
use std::time::Duration;

use postrider_queue::Error;
use postrider_queue::job::{Admitted, FlowId, Limits};
use postrider_queue::work::{Admission, AdmissionOrder, FlowLimit, FlowRequest};
use tracing::debug;

use super::flow_gate::Gate;
use super::hold::{CHECK_INTERVAL, OPEN_CHECK_INTERVAL};
use crate::shard::alarm::Alarm;
use crate::shard::settings::CurrentSettings;

/// How many jobs one script call moves at most: it blocks Redis.
const ADMIT_JOBS_MAX: usize = 100;

/// Admits the held jobs of one shard.
#[derive(Debug)]
pub(crate) struct Waker {
    /// The flows.
    pub gate: Gate,
    /// Rings for the next check of a flow.
    pub alarm: Arc<Alarm>,
    /// Limits and maximum ages.
    pub settings: CurrentSettings,
}

impl Waker {
    /// Admits held jobs up to the limits of the flow, the oldest first.
    ///
    /// # Errors
    /// fred's.
    pub(crate) async fn wake(&self, id: FlowId) -> Result<(), Error> {
        let settings = self.settings.get();
        let limits = settings.flows.get(id);
        let Gate { queue, flows, held, .. } = &self.gate;
        let mut room = flows.room(id).min(ADMIT_JOBS_MAX);
        let is_held = flows.held_for(id).is_some() || self.gate.control.pauses_flow(id);
        if room == 0 || is_held || flows.is_open_alone(id) {
            // The place in the share, if it got one, is for the next flow that waits.
            flows.notify_waiting();
            return Ok(());
        }
        let mut admission = Admission {
            count: 0,
            admitted: Admitted::Yes,
            again: CHECK_INTERVAL,
            order: AdmissionOrder::FailedFirst(0),
            expired: &[],
        };
        if limits.rate.is_some() || flows.has_learned_rate(id) {
            // Counts the held jobs first: a token that no job uses is lost.
            let (_, waiting) = queue.admit(id, &admission).await?;
            room = room.min(waiting as usize);
        }
        if room > 0 {
            self.acquire_for_held(id, limits, room, &mut admission).await;
        }
        if flows.admits_untried_only(id) && matches!(admission.order, AdmissionOrder::FailedFirst(_)) {
            admission.order = AdmissionOrder::UntriedOnly;
        }
        let again = admission.again;
        // Before the call: a job may arrive before the reply.
        flows.expect(id, admission.count);
        let (moved, left) = queue.admit(id, &admission).await?;
        flows.expect_fewer(id, admission.count.saturating_sub(moved));
        if left > 0 {
            held.insert(id);
            self.alarm.due_in(again);
        } else {
            held.remove(id);
        }
        if admission.admitted == Admitted::Trial {
            self.used_trial(id, limits, moved).await;
        }
        if left > 0 && moved == ADMIT_JOBS_MAX {
            // There may be room for more. Other flows come between.
            held.notify(id);
        }
        if moved == 0 {
            // The place in the share, if it got one, is for the next flow that waits.
            flows.notify_waiting();
        }
        Ok(())
    }

    /// A trial that no job got is given back. A job that may have it may be about to be held.
    async fn used_trial(&self, id: FlowId, limits: &Limits, moved: usize) {
        if moved > 0 {
            self.gate.flows.granted_trial(id, None);
        } else {
            self.gate.flows.missed_trial(id);
            self.gate.release(id, limits, Some(Admitted::Trial)).await;
        }
    }

    /// Asks Redis for the right to make `room` attempts by held jobs.
    async fn acquire_for_held(
        &self,
        id: FlowId,
        limits: &Limits,
        room: usize,
        admission: &mut Admission<'_>,
    ) {
        let flows = &self.gate.flows;
        // A held job of a kind that has not failed may pass an open breaker.
        let kind = flows.opinion(id);
        let request = FlowRequest {
            making: flows.counted(id),
            more: room,
            is_made: false,
            is_paid: false,
            is_past_breaker: false,
            kind,
        };
        let taken = match self.gate.acquire_once(id, limits, request).await {
            Ok(taken) => taken,
            Err(error) => {
                // In a cluster, the state of a flow may be on another node than the queue, which works.
                debug!(%error, "cannot acquire attempts for held jobs now");
                (admission.count, admission.again) = (0, CHECK_INTERVAL);
                return;
            }
        };
        admission.count = taken.granted;
        let failed = match taken.why {
            Some(FlowLimit::Trial) => usize::from(taken.is_for_failed),
            _ => flows.admits_failed(id, taken.granted),
        };
        let is_opinion = kind.is_some() && taken.why == Some(FlowLimit::Trial) && failed == 0;
        admission.order =
            if is_opinion { AdmissionOrder::NewestUntried } else { AdmissionOrder::FailedFirst(failed) };
        if taken.why.is_some() {
            admission.again = taken.wait;
        }
        match taken.why {
            Some(FlowLimit::Asked) => flows.hold(id, taken.wait),
            Some(FlowLimit::Open) if flows.contradicts(id) => {
                self.gate.contradict(id).await;
                admission.again = Duration::ZERO;
            }
            Some(FlowLimit::Open) => {
                flows.set_open(id, Some(taken.wait), false);
                let soon = if kind.is_some() { CHECK_INTERVAL } else { OPEN_CHECK_INTERVAL };
                admission.again = admission.again.min(soon);
            }
            Some(FlowLimit::Trial) => {
                admission.admitted = Admitted::Trial;
            }
            // Another worker has closed the breaker.
            _ if flows.is_open(id) => flows.set_open(id, None, false),
            _ => {}
        }
    }

    /// Admits held jobs that have expired, whatever the limits: they are not sent.
    ///
    /// # Errors
    /// fred's.
    pub(crate) async fn expire(&self, id: FlowId, job_ids: &[String]) -> Result<(), Error> {
        let expired = Admission {
            count: 0,
            admitted: Admitted::Old,
            again: CHECK_INTERVAL,
            order: AdmissionOrder::FailedFirst(0),
            expired: job_ids,
        };
        let (_, left) = self.gate.queue.admit(id, &expired).await?;
        if left == 0 {
            self.gate.held.remove(id);
        }
        Ok(())
    }
}
