//! Lets a job pass its flow before an attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_queue::job::{Admitted, Delivery, FlowId, FlowLimits, Job, Limits, of_fields};
use postrider_queue::work::{FlowLimit, FlowRequest, QueueShard, WaitReason};
use tracing::debug;

use super::hold::{CHECK_INTERVAL, Hold};
use crate::flows::{Candidate, EnterResult, Flows, HeldFlows, JobKind, Line, Pass, SLOT_WAIT_MAX};
use crate::observe::counters::Counts;
use crate::shard::control::CurrentControl;

/// The flows of a worker, as one shard uses them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// The shard. All workers share the state of flows over any connection.
    pub queue: QueueShard,
    /// The attempts of this worker.
    pub flows: Flows,
    /// The flows that hold jobs of this shard.
    pub held: Arc<HeldFlows>,
    /// What is paused.
    pub control: CurrentControl,
    /// Counts jobs that are held.
    pub counts: Arc<Counts>,
}

impl Gate {
    /// Begins an attempt of a job if its flow allows it. Otherwise the job is held until the flow admits it. A
    /// held job occupies no slot, and the delivery does not count as an attempt. Questions to Redis are boxed, since they
    /// are rare and the task of each job would be larger by them.
    pub(super) async fn pass(
        &self,
        id: FlowId,
        limits: &Limits,
        delivery: &Delivery,
        job: &Job,
    ) -> Result<Pass, Hold> {
        let admitted = job.trail.admitted.filter(|admitted| *admitted != Admitted::Old);
        if admitted.is_some() {
            self.record_arrival(id, delivery);
        }
        let candidate = self.candidate(id, limits, admitted, job);
        let hold = match self.try_pass(&candidate, limits, admitted, job).await {
            Ok(pass) => return Ok(pass),
            Err(hold) => hold,
        };
        Box::pin(self.release(id, limits, job.trail.admitted)).await;
        if !hold.is_scheduled {
            self.held.insert(id);
        }
        self.counts.held();
        let rank = 2 * job.trail.attempts + u32::from(self.flows.is_suspect(&candidate));
        Err(Hold { rank, ..hold })
    }

    fn candidate(&self, id: FlowId, limits: &Limits, admitted: Option<Admitted>, job: &Job) -> Candidate {
        let line = match admitted {
            Some(_) => Line::Admitted,
            None if self.held.contains(id) => Line::Behind,
            None => Line::Free,
        };
        let is_shared = limits.are_shared() || self.flows.has_learned_rate(id);
        let kind = JobKind::of(job.uri.path(), job.timeout);
        Candidate { flow: id, line, kind, has_failed: job.trail.attempts > 0, is_shared }
    }

    /// Gives back what a flow granted to a job that is not sent after all, for example because it expired. The
    /// next held job gets it: many jobs may have expired, and they must not use up the trials and tokens of the
    /// others.
    pub(super) async fn decline(&self, limits: &FlowLimits, delivery: &Delivery) {
        let admitted = Admitted::of(&delivery.fields).filter(|admitted| *admitted != Admitted::Old);
        let Some((id, _)) = admitted.and_then(|_| of_fields(&delivery.fields)) else { return };
        self.record_arrival(id, delivery);
        self.release(id, limits.get(id), admitted).await;
        self.flows.notify(id);
    }

    /// Best effort: tokens and trials that are not given back renew with time.
    pub(super) async fn release(&self, id: FlowId, limits: &Limits, admitted: Option<Admitted>) {
        let is_trial = admitted == Some(Admitted::Trial);
        let has_rate = limits.rate.is_some() || self.flows.has_learned_rate(id);
        if !is_trial && (!has_rate || admitted != Some(Admitted::Yes)) {
            return;
        }
        if let Err(error) = self.queue.release_flow(id, limits, is_trial).await {
            debug!(%error, "could not give back the token or trial of a job that was not sent");
        }
    }

    /// Records that an admitted job has arrived.
    fn record_arrival(&self, id: FlowId, delivery: &Delivery) {
        let entry = delivery.lease.entry;
        self.flows
            .record_arrival(id, Duration::from_millis(self.queue.clock().now().saturating_sub(entry.millis)));
    }

    /// Returns a pass, or why the job must be held.
    async fn try_pass(
        &self,
        candidate: &Candidate,
        limits: &Limits,
        admitted: Option<Admitted>,
        job: &Job,
    ) -> Result<Pass, Hold> {
        let Candidate { flow: id, line, is_shared, .. } = *candidate;
        if self.control.pauses_flow(id) {
            return Err(Hold::by(WaitReason::Paused));
        }
        if let Some(hold) = self.hold_of_host(id, job) {
            return Err(hold);
        }
        if line == Line::Behind && is_shared {
            // Limits that all workers share are granted in the order of the jobs.
            return Err(Hold::by(WaitReason::Order));
        }
        let mut pass = self.enter(candidate, limits).await?;
        pass.is_trial |= admitted == Some(Admitted::Trial);
        // The worker that admitted the job has taken its token. Where another worker has begun to
        // hold jobs, Redis knows why.
        let has_rate = limits.rate.is_some() || self.flows.has_learned_rate(id);
        let is_unknown = line == Line::Behind && self.flows.must_ask(id);
        if limits.concurrency.is_some() || has_rate && admitted.is_none() || is_unknown && !pass.is_trial {
            Box::pin(self.acquire(limits, &mut pass, admitted.is_some())).await?;
        }
        Ok(pass)
    }

    /// In a flow that jobs name for several destinations, one that asks to wait holds its own jobs only. They
    /// are scheduled, since the flow goes on.
    fn hold_of_host(&self, id: FlowId, job: &Job) -> Option<Hold> {
        let host = job.flow.as_ref().map(|_| self.flows.destination(&job.uri))?;
        let wait = self.flows.has_several_hosts(id, host).then(|| self.flows.held_for(host))??;
        // Spread by up to a tenth, so that not all come at once.
        let within = wait.mul_f64(1.0 + fastrand::f64() / 10.0);
        Some(Hold { is_scheduled: true, ..Hold::within(within, WaitReason::RetryAfter) })
    }

    /// Checks the limits that this worker knows without Redis.
    async fn enter(&self, candidate: &Candidate, limits: &Limits) -> Result<Pass, Hold> {
        let Candidate { flow: id, line, .. } = *candidate;
        let (mut wait, mut until) = (None, None);
        loop {
            match self.flows.enter(candidate, Instant::now()) {
                EnterResult::Go(pass) => return Ok(pass),
                EnterResult::Asked(within) => return Err(Hold::within(within, WaitReason::RetryAfter)),
                EnterResult::Open(_) if self.flows.is_second_opinion(candidate) => {
                    return Box::pin(self.trial(candidate, limits, Some(candidate.kind.0))).await;
                }
                EnterResult::Open(within) => {
                    // Others may admit the job before that.
                    let is_soon = self.flows.opinion(id).is_some() || self.flows.is_open_alone(id);
                    let within = if is_soon { within.min(CHECK_INTERVAL) } else { within };
                    return Err(Hold::within(within, WaitReason::Breaker));
                }
                // Held jobs are tried in their order.
                EnterResult::Trial if line == Line::Behind => return Err(Hold::by(WaitReason::Breaker)),
                EnterResult::Trial => return Box::pin(self.trial(candidate, limits, None)).await,
                EnterResult::Crowded => {
                    self.flows.wait_for_share(id);
                    return Err(Hold::crowded());
                }
                EnterResult::Full { is_brisk: false, .. } if line == Line::Behind => {
                    return Err(Hold::by(WaitReason::Window));
                }
                EnterResult::Full { room, is_brisk } => {
                    if !is_brisk && wait.is_none() {
                        wait = Some(self.flows.wait_in_slot().ok_or(Hold::by(WaitReason::Window))?);
                    }
                    let full = |_| Hold::by(WaitReason::Window);
                    let until = *until.get_or_insert_with(|| tokio::time::Instant::now() + SLOT_WAIT_MAX);
                    tokio::time::timeout_at(until, room.notified()).await.map_err(full)?;
                }
            }
        }
    }

    /// The breaker is or was open: asks Redis, which grants one trial. With `kind`, the job is a second
    /// opinion, since no job of its kind has failed.
    async fn trial(&self, candidate: &Candidate, limits: &Limits, kind: Option<u32>) -> Result<Pass, Hold> {
        let id = candidate.flow;
        let request = FlowRequest {
            making: self.flows.counted(id),
            more: 1,
            is_made: false,
            is_paid: true,
            is_past_breaker: false,
            kind,
        };
        let taken = self.acquire_or_hold(id, limits, request).await;
        if taken.granted == 0 {
            if taken.why == Some(FlowLimit::Asked) {
                self.flows.hold(id, taken.wait);
            } else {
                self.flows.set_open(id, Some(taken.wait), false);
            }
            let hold = Hold::by_answer(taken);
            let soon = self.flows.opinion(id).map_or(hold.within, |_| hold.within.min(CHECK_INTERVAL));
            return Err(Hold { within: soon, ..hold });
        }
        self.flows.granted_trial(id, Some(candidate.kind));
        let mut pass = self.flows.enter_trial(candidate, Instant::now());
        pass.is_trial = taken.why == Some(FlowLimit::Trial);
        if !pass.is_trial {
            self.flows.set_open(id, None, false);
        }
        Ok(pass)
    }
}
