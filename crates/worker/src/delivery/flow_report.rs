//! Reports the outcome of an attempt to its flow.

use std::hash::{DefaultHasher, Hash, Hasher};

use postrider_queue::Error;
use postrider_queue::job::{Admitted, Breaker, FlowId, FlowLimits, Job, Limits, flow_name};
use postrider_queue::work::{BreakerState, FlowReport, FlowRequest, Grant};
use telemetry::ErrorType;
use tracing::{debug, info, warn};

use super::flow_gate::Gate;
use crate::flows::{AttemptEnd, Pass, Verdict};
use crate::policy::SendResult;

impl Gate {
    /// Ends an attempt: reports what it shows to the flow that all workers share, and wakes held jobs. The reports
    /// are boxed, since they are rare and the task of each job would be larger by them.
    pub(crate) async fn end(&self, limits: &Limits, job: &Job, pass: Pass, result: &SendResult) {
        let (id, is_trial, is_counted) = (pass.id, pass.is_trial, pass.is_counted);
        let end = end_of(job, result);
        let verdict = pass.end(end);
        let limit = limits.breaker.failures;
        let is_open = self.flows.is_open(id);
        match verdict {
            Some(Verdict::Fails) if limit > 0 && (is_trial || !is_open && self.flows.opens(id, limit)) => {
                Box::pin(self.report_failure(id, job, result, limits.breaker)).await;
            }
            Some(Verdict::Works | Verdict::TooMany) if is_trial || is_open => {
                Box::pin(self.report_success(id, job)).await;
            }
            // The egress policy refused this trial, or its failure is the job's or the worker's own. That proves
            // nothing about the destination: the next job is tried. A failed proxy gives no trial back, since it would fail
            // each of them.
            None if is_trial && result.error() != Some(ErrorType::Proxy) => {
                Box::pin(self.release(id, limits, Some(Admitted::Trial))).await;
            }
            _ => {}
        }
        if verdict == Some(Verdict::TooMany) {
            Box::pin(self.report_too_many(id, job, result, limits)).await;
        }
        if is_counted && let Err(error) = Box::pin(self.report_attempts(id, limits)).await {
            debug!(%error, "could not report the end of an attempt; the next report contains it");
        }
        self.flows.notify(id);
        self.flows.notify_waiting();
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
            kind: None,
        };
        self.queue.acquire_flow(id, limits, request).await
    }

    async fn report_failure(&self, id: FlowId, job: &Job, result: &SendResult, breaker: Breaker) {
        let spread = 0.75 + fastrand::f64() / 2.0;
        let (flow, error) = (flow_name(job), result.text());
        let kinds = self.flows.failed_kinds(id);
        let report = FlowReport::Fails { breaker, spread, kinds: &kinds };
        let state = match self.queue.report_flow(id, &flow, &error, report).await {
            Ok(state) => state,
            Err(error) => {
                debug!(%error, "could not report to the breaker that all workers share");
                BreakerState { closed_for: breaker.pause, times: 2, is_alone: false }
            }
        };
        let pause = state.closed_for;
        self.flows.set_open(id, Some(pause), state.is_alone);
        if state.is_alone {
            warn!(
                flow,
                ?pause,
                %error,
                "other workers reach the destination, and this one does not: it pauses alone"
            );
        } else if state.times == 1 {
            self.counts.tripped();
            warn!(
                flow,
                ?pause,
                %error,
                "the destination does not answer: its jobs are held, and one is sent as a trial after a pause"
            );
        } else {
            debug!(flow, ?pause, %error, "a trial failed");
        }
    }

    async fn report_success(&self, id: FlowId, job: &Job) {
        self.flows.set_open(id, None, false);
        if self.report_works(id).await {
            info!(flow = flow_name(job), "the destination answers again");
        }
    }

    /// Another worker has opened the breaker, and this one gets answers: closes it.
    pub(super) async fn contradict(&self, id: FlowId) {
        if self.report_works(id).await {
            info!(flow = %id, "this worker reaches a destination that another one does not");
        }
    }

    /// Closes the breaker that all workers share. Returns whether Redis took the report.
    async fn report_works(&self, id: FlowId) -> bool {
        match self.queue.report_flow(id, "", "", FlowReport::Works).await {
            Ok(_) => true,
            Err(error) => {
                debug!(%error, "could not report to the breaker that all workers share");
                false
            }
        }
    }

    /// The destination has answered that there were too many requests: all workers wait as long as it asks,
    /// and share a rate from then on.
    async fn report_too_many(&self, id: FlowId, job: &Job, result: &SendResult, limits: &Limits) {
        let wait = result.retry_after().unwrap_or_default();
        let host = job.flow.as_ref().map(|_| self.flows.destination(&job.uri));
        let own = host.filter(|host| self.flows.has_several_hosts(id, *host));
        let target = own.unwrap_or(id);
        let accepted = self.flows.accepted(id);
        let report = FlowReport::TooMany { wait, longest: limits.longest_hold, accepted };
        match self.queue.report_flow(target, &flow_name(job), &result.text(), report).await {
            Ok(state) => {
                self.flows.hold(target, state.closed_for);
                self.flows.set_learned_rate(target, true);
                debug!(flow = flow_name(job), wait = ?state.closed_for, "the destination asks to wait");
            }
            Err(error) => {
                self.flows.hold(target, wait.min(limits.longest_hold));
                debug!(%error, "could not report to the flow that all workers share");
            }
        }
    }
}

/// What an attempt may show about its destination. A response proves that it works, except 502, 503 and 504,
/// which a gateway may send for it. A request that was not sent proves nothing.
fn end_of(job: &Job, result: &SendResult) -> Option<AttemptEnd> {
    let verdict = match (result.status(), result.error()) {
        (Some(429), _) => Verdict::TooMany,
        (Some(502..=504), _) => Verdict::Fails,
        (Some(_), _) => Verdict::Works,
        (None, _) if !result.was_attempt() => return None,
        (None, _) => Verdict::Fails,
    };
    let is_timeout = matches!(
        result.error(),
        Some(
            ErrorType::Timeout
                | ErrorType::ConnectTimeout
                | ErrorType::DnsTimeout
                | ErrorType::TlsTimeout
                | ErrorType::UploadTimeout
                | ErrorType::HeadersTimeout
                | ErrorType::BodyTimeout
        )
    );
    let job = if verdict == Verdict::Fails { job_number(job) } else { 0 };
    Some(AttemptEnd { verdict, is_timeout, job })
}

/// Distinguishes jobs, almost always.
fn job_number(job: &Job) -> u64 {
    let mut hasher = DefaultHasher::new();
    job.id.hash(&mut hasher);
    hasher.finish()
}
