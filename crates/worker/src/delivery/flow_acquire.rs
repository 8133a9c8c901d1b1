//! Asks Redis for attempts of a flow, within the limits that all workers share.

use postrider_queue::Error;
use postrider_queue::job::{FlowId, Limits};
use postrider_queue::work::{FlowLimit, FlowRequest, Grant, is_refusal};
use tracing::debug;

use super::flow_gate::Gate;
use super::hold::{CHECK_INTERVAL, Hold};
use crate::flows::Pass;

impl Gate {
    /// Checks the limits that all workers share.
    pub(super) async fn acquire(&self, limits: &Limits, pass: &mut Pass, is_paid: bool) -> Result<(), Hold> {
        let making = self.flows.counted(pass.id);
        if limits.concurrency.is_some() {
            self.flows.count(pass.id);
            pass.is_counted = true;
        }
        // The breaker must not refuse a trial or an admitted job that it granted before.
        let request = FlowRequest {
            making,
            more: 1,
            is_made: true,
            is_paid,
            is_past_breaker: is_paid || pass.is_trial,
            kind: None,
        };
        let mut taken = self.acquire_or_hold(pass.id, limits, request).await;
        if taken.why == Some(FlowLimit::Open) && self.flows.contradicts(pass.id) {
            // Else this worker, too, would believe another one that reaches less.
            self.contradict(pass.id).await;
            taken = self.acquire_or_hold(pass.id, limits, request).await;
        }
        if taken.granted == 0 {
            match taken.why {
                Some(FlowLimit::Open) => {
                    self.flows.set_open(pass.id, Some(taken.wait), false);
                    self.flows.offer(pass);
                }
                Some(FlowLimit::Asked) => self.flows.hold(pass.id, taken.wait),
                _ => {}
            }
            return Err(Hold::by_answer(taken));
        }
        pass.is_trial |= taken.why == Some(FlowLimit::Trial);
        Ok(())
    }

    /// Requests attempts of a flow. Without a reply nothing is granted: the job is held, and its slot is free
    /// for jobs that need no reply.
    pub(super) async fn acquire_or_hold(&self, id: FlowId, limits: &Limits, request: FlowRequest) -> Grant {
        match self.acquire_once(id, limits, request).await {
            Ok(taken) => taken,
            Err(error) => {
                // In a cluster, the state of a flow may be on another node than the queue, which works.
                debug!(%error, "cannot acquire an attempt now; the job is held");
                Grant {
                    granted: 0,
                    wait: CHECK_INTERVAL,
                    why: None,
                    has_learned_rate: false,
                    is_for_failed: false,
                }
            }
        }
    }

    /// Requests attempts of a flow once. Redis may refuse the call itself, for a missing right or a key of a
    /// wrong type. Then the jobs of a flow with shared limits are held until that is corrected; a flow without
    /// them uses only the limits that this worker knows.
    pub(super) async fn acquire_once(
        &self,
        id: FlowId,
        limits: &Limits,
        request: FlowRequest,
    ) -> Result<Grant, Error> {
        match self.queue.acquire_flow(id, limits, request).await {
            Ok(taken) => {
                self.queue.link().up();
                self.flows.set_learned_rate(id, taken.has_learned_rate);
                Ok(taken)
            }
            Err(error) if is_refusal(&error) => {
                // Logged once. The connection is not down.
                self.queue.link().tolerate(&error);
                let granted = if limits.are_shared() { 0 } else { request.more };
                Ok(Grant {
                    granted,
                    wait: CHECK_INTERVAL,
                    why: None,
                    has_learned_rate: false,
                    is_for_failed: false,
                })
            }
            Err(error) => Err(error),
        }
    }
}
