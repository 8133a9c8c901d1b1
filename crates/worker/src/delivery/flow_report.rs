//! Reports the outcome of an attempt to its flow.

use postrider_queue::Error;
use postrider_queue::job::{Admitted, Breaker, FlowId, FlowLimits, Job, Limits, flow_name};
use postrider_queue::work::{BreakerState, FlowRequest, Grant};
use telemetry::ErrorType;
use tracing::{debug, info, warn};

use super::flow_gate::Gate;
use crate::flows::{Pass, Verdict};
use crate::policy::SendResult;

impl Gate {
    /// Ends an attempt: reports a relevant outcome to the breaker, and wakes held jobs.
    pub(crate) async fn end(&self, limits: &Limits, job: &Job, mut pass: Pass, result: &SendResult) {
        let verdict = verdict(result);
        if let Some(verdict) = verdict {
            pass.end(verdict);
        }
        let (id, is_trial, is_counted) = (pass.id, pass.is_trial, pass.is_counted);
        drop(pass);
        let breaker = limits.breaker;
        let is_open = self.flows.is_open(id);
        match verdict {
            Some(Verdict::Fails) => {
                let failures = self.flows.failures(id);
                if breaker.failures > 0 && (is_trial || !is_open && failures >= breaker.failures) {
                    self.report_failure(id, job, breaker, &result.text()).await;
                }
            }
            Some(_) if is_trial || is_open => self.report_success(id, job, breaker).await,
            // The egress policy refused this trial, which proves nothing about the destination: the next job is
            // tried. A failed proxy gives no trial back, since it would fail each of them.
            None if is_trial && result.error() == Some(ErrorType::Refused) => {
                self.release(id, limits, Some(Admitted::Trial)).await;
            }
            _ => {}
        }
        if is_counted && let Err(error) = self.report_attempts(id, limits).await {
            debug!(%error, "could not report the end of an attempt; the next report contains it");
        }
        self.flows.want(id);
        self.flows.want_waiting();
    }

    /// Reports how many attempts this worker makes of each flow whose concurrency is limited over all workers. A
    /// report expires after 15 s.
    pub(crate) async fn report_all_attempts(&self, limits: &FlowLimits) {
        // At once, since in a cluster a node may not answer. Other loops log that Redis fails.
        let counted = self.flows.all_counted();
        let reports = counted.into_iter().map(|id| self.report_attempts(id, limits.get(id)));
        futures_util::future::join_all(reports).await;
    }

    async fn report_attempts(&self, id: FlowId, limits: &Limits) -> Result<Grant, Error> {
        let request = FlowRequest {
            making: self.flows.counted(id),
            more: 0,
            is_made: false,
            is_paid: true,
            is_past_breaker: true,
        };
        self.queue.acquire_flow(id, limits, request).await
    }

    async fn report_failure(&self, id: FlowId, job: &Job, breaker: Breaker, error: &str) {
        let spread = 0.75 + fastrand::f64() / 2.0;
        let flow = flow_name(job);
        let state = match self.queue.report_flow(id, &flow, Some(error), breaker, spread).await {
            Ok(state) => state,
            Err(error) => {
                debug!(%error, "could not report to the breaker that all workers share");
                BreakerState { closed_for: breaker.pause, times: 2 }
            }
        };
        self.flows.set_open(id, Some(state.closed_for));
        let pause = state.closed_for;
        if state.times == 1 {
            self.counts.tripped();
            warn!(
                flow,
                ?pause,
                error,
                "the destination does not answer: its jobs are held, and one is sent as a trial after a pause"
            );
        } else {
            debug!(flow, ?pause, "a trial failed");
        }
    }

    async fn report_success(&self, id: FlowId, job: &Job, breaker: Breaker) {
        self.flows.set_open(id, None);
        match self.queue.report_flow(id, "", None, breaker, 1.0).await {
            Ok(_) => info!(flow = flow_name(job), "the destination answers again"),
            Err(error) => debug!(%error, "could not report to the breaker that all workers share"),
        }
    }
}

/// A response proves that the destination works, except 502, 503 and 504, which a gateway may send for it. A
/// request that was not sent proves nothing.
fn verdict(result: &SendResult) -> Option<Verdict> {
    match (result.status(), result.error()) {
        (Some(429), _) => Some(Verdict::TooMany),
        (Some(502..=504), _) => Some(Verdict::Fails),
        (Some(_), _) => Some(Verdict::Works),
        (None, Some(ErrorType::Refused | ErrorType::Proxy)) => None,
        (None, _) => Some(Verdict::Fails),
    }
}
