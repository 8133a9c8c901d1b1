//! What the answers of destinations mean for their flows: breaker, hold, learned rate.

use std::time::{Duration, Instant};

use postrider_queue::job::FlowId;

use super::candidate::Candidate;
use super::evidence::JobKind;
use super::flow::Flow;
use super::pass::Pass;
use super::{Flows, left};

impl Flows {
    /// Whether the failures of a flow open its breaker, which is configured for `limit` in a row.
    pub(crate) fn opens(&self, id: FlowId, limit: u32) -> bool {
        let opens = |flow: &Flow| flow.evidence.opens(flow.window.failures, limit, Instant::now());
        self.lock().known(id).is_some_and(opens)
    }

    /// The kinds of jobs that have failed since the flow's last success.
    pub(crate) fn failed_kinds(&self, id: FlowId) -> Vec<u32> {
        let kinds = |flow: &Flow| flow.evidence.failed_in_a_row().iter().map(|kind| kind.0).collect();
        self.lock().known(id).map_or_else(Vec::new, kinds)
    }

    /// Whether the last attempt of a job's kind has failed.
    pub(crate) fn is_suspect(&self, job: &Candidate) -> bool {
        self.lock().known(job.flow).is_some_and(|flow| flow.evidence.is_suspect(job.kind))
    }

    /// Whether to ask Redis to let a job pass the open breaker, as of another kind than those that have failed.
    pub(crate) fn is_second_opinion(&self, job: &Candidate) -> bool {
        let now = Instant::now();
        let mut table = self.lock();
        !job.has_failed
            && !table.is_crowded(job.flow, now)
            && table.flow(job.flow, now).evidence.asks(job.kind, now)
    }

    /// A job that had begun an attempt is about to be held, since another worker has opened the breaker. It may be a second opinion.
    pub(crate) fn offer(&self, pass: &Pass) {
        self.lock().offer(pass.key, Instant::now());
    }

    /// The kind of a held job that could be a second opinion while the breaker is open.
    pub(crate) fn opinion(&self, id: FlowId) -> Option<u32> {
        let table = self.lock();
        let flow = table.known(id).filter(|flow| flow.open_until.is_some())?;
        flow.evidence.opinion().map(|kind| kind.0)
    }

    /// A job got a trial: of this kind, or a held one of any kind.
    pub(crate) fn granted_trial(&self, id: FlowId, kind: Option<JobKind>) {
        self.lock().flow(id, Instant::now()).evidence.granted(kind);
    }

    /// Redis had granted a trial to a held job, and there was none.
    pub(crate) fn missed_trial(&self, id: FlowId) {
        let now = Instant::now();
        self.lock().flow(id, now).evidence.missed(now);
    }

    /// Sets the breaker open for `wait`, or closed.
    pub(crate) fn set_open(&self, id: FlowId, wait: Option<Duration>, is_alone: bool) {
        let now = Instant::now();
        let mut table = self.lock();
        let flow = table.flow(id, now);
        (flow.open_until, flow.is_open_alone) = (wait.map(|wait| now + wait), is_alone);
    }

    /// Whether the breaker is open for this worker alone: others admit the flow's held jobs.
    pub(crate) fn is_open_alone(&self, id: FlowId) -> bool {
        let now = Instant::now();
        let is_alone = |flow: &Flow| flow.is_open_alone && left(flow.open_until, now).is_some();
        self.lock().known(id).is_some_and(is_alone)
    }

    /// Whether this worker knows better than another that has opened the breaker: it had an answer within the
    /// last seconds, and no failure since.
    pub(crate) fn contradicts(&self, id: FlowId) -> bool {
        let now = Instant::now();
        self.lock().known(id).is_some_and(|flow| flow.open_until.is_none() && flow.window.works(now))
    }

    /// The destination has asked to wait.
    pub(crate) fn hold(&self, id: FlowId, wait: Duration) {
        let now = Instant::now();
        let mut table = self.lock();
        let until = &mut table.flow(id, now).hold_until;
        *until = (*until).max(Some(now + wait));
    }

    /// How long the destination has asked to wait from now on.
    pub(crate) fn held_for(&self, id: FlowId) -> Option<Duration> {
        let until = self.lock().known(id)?.hold_until;
        left(until, Instant::now())
    }

    /// Another worker has begun to hold jobs of the flow: the next job asks Redis.
    pub(crate) fn ask(&self, id: FlowId) {
        self.lock().flow(id, Instant::now()).must_ask = true;
    }

    /// Whether the next job asks Redis.
    pub(crate) fn must_ask(&self, id: FlowId) -> bool {
        self.lock().known(id).is_none_or(|flow| flow.must_ask)
    }

    /// Sets whether the flow has a rate that was learned from its destination.
    pub(crate) fn set_learned_rate(&self, id: FlowId, has_learned_rate: bool) {
        let mut table = self.lock();
        let flow = table.flow(id, Instant::now());
        (flow.has_learned_rate, flow.must_ask) = (has_learned_rate, false);
    }

    /// Whether all workers share a rate of the flow that was learned from its destination.
    pub(crate) fn has_learned_rate(&self, id: FlowId) -> bool {
        self.lock().known(id).is_some_and(|flow| flow.has_learned_rate)
    }

    /// How many attempts were accepted within the last second.
    pub(crate) fn accepted(&self, id: FlowId) -> u32 {
        let now = Instant::now();
        self.lock().flow(id, now).window.accepted(now)
    }

    /// A job that names the flow has this destination. Returns whether the flow has several.
    pub(crate) fn has_several_hosts(&self, id: FlowId, host: FlowId) -> bool {
        let mut table = self.lock();
        let flow = table.flow(id, Instant::now());
        flow.has_several_hosts |= *flow.host.get_or_insert(host) != host;
        flow.has_several_hosts
    }
}
