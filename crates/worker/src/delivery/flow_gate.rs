//! Lets a job pass its flow before an attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_queue::Error;
use postrider_queue::job::{Admitted, Delivery, FlowId, FlowLimits, Job, Limits, of_fields};
use postrider_queue::work::{FlowLimit, FlowRequest, Grant, Queue, WaitReason, is_refusal};
use tracing::debug;

use super::hold::{CHECK_INTERVAL, Hold};
use crate::flows::{Entry, Flows, GRACE, Held, Line, Pass};
use crate::observe::counters::Counts;

/// The flows of a worker, as one shard uses them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// The shard. All workers share the state of flows over any connection.
    pub queue: Queue,
    /// The attempts of this worker.
    pub flows: Flows,
    /// The flows that hold jobs of this shard.
    pub held: Arc<Held>,
    /// Counts jobs that are held.
    pub counts: Arc<Counts>,
}

impl Gate {
    /// Begins an attempt of a job if its flow allows it. Otherwise the job is held until the flow admits it. A
    /// held job occupies no slot, and the delivery does not count as an attempt.
    pub(super) async fn pass(
        &self,
        id: FlowId,
        limits: &Limits,
        delivery: &Delivery,
        job: &Job,
    ) -> Result<Pass, Hold> {
        let passed = self.seek(id, limits, delivery, job).await;
        if passed.is_err() {
            self.release(id, limits, job.trail.admitted).await;
            self.held.insert(id);
            self.counts.held();
        }
        passed
    }

    /// Gives back what a flow granted to a job that is not sent after all, for example because it expired. The
    /// next held job gets it: many jobs may have expired, and they must not use up the trials and tokens of the
    /// others.
    pub(super) async fn decline(&self, limits: &FlowLimits, delivery: &Delivery) {
        let admitted = Admitted::of(&delivery.fields).filter(|admitted| *admitted != Admitted::Old);
        let Some((id, _)) = admitted.and_then(|_| of_fields(&delivery.fields)) else { return };
        self.record_arrival(id, delivery);
        self.release(id, limits.get(id), admitted).await;
        self.flows.want(id);
    }

    /// Best effort: tokens and trials that are not given back renew with time.
    pub(super) async fn release(&self, id: FlowId, limits: &Limits, admitted: Option<Admitted>) {
        let is_trial = admitted == Some(Admitted::Trial);
        if !is_trial && (limits.rate.is_none() || admitted != Some(Admitted::Yes)) {
            return;
        }
        if let Err(error) = self.queue.release_flow(id, limits, is_trial).await {
            debug!(%error, "could not give back the token or trial of a job that was not sent");
        }
    }

    /// Records that an admitted job has arrived.
    fn record_arrival(&self, id: FlowId, delivery: &Delivery) {
        let entry = delivery.lease.entry;
        self.flows.came(id, Duration::from_millis(self.queue.clock().now().saturating_sub(entry.millis)));
    }

    /// Returns a pass, or why the job must be held.
    async fn seek(&self, id: FlowId, limits: &Limits, delivery: &Delivery, job: &Job) -> Result<Pass, Hold> {
        let admitted = job.trail.admitted.filter(|admitted| *admitted != Admitted::Old);
        if admitted.is_some() {
            self.record_arrival(id, delivery);
        }
        let line = match admitted {
            Some(_) => Line::Admitted,
            None if self.held.contains(id) => Line::Behind,
            None => Line::Free,
        };
        if line == Line::Behind && limits.are_shared() {
            // Limits that all workers share are granted in the order of the jobs.
            return Err(Hold::by(WaitReason::Order));
        }
        let mut pass = self.enter(id, limits, line, job.trail.attempts > 0).await?;
        pass.is_trial |= admitted == Some(Admitted::Trial);
        // The worker that admitted the job has taken its token.
        if limits.concurrency.is_some() || limits.rate.is_some() && admitted.is_none() {
            self.acquire(limits, &mut pass, admitted.is_some()).await?;
        }
        Ok(pass)
    }

    /// Checks the limits that this worker knows without Redis.
    async fn enter(&self, id: FlowId, limits: &Limits, line: Line, has_failed: bool) -> Result<Pass, Hold> {
        let mut wait = None;
        let until = tokio::time::Instant::now() + GRACE;
        loop {
            match self.flows.enter(id, line, limits.are_shared(), has_failed, Instant::now()) {
                Entry::Go(pass) => return Ok(pass),
                Entry::Open(within) => return Err(Hold { within, why: WaitReason::Breaker }),
                Entry::Trial => return self.trial(id, limits).await,
                Entry::Crowded => {
                    self.flows.wait_for_share(id);
                    return Err(Hold::crowded());
                }
                Entry::Full { is_brisk: false, .. } if line == Line::Behind => {
                    return Err(Hold::by(WaitReason::Window));
                }
                Entry::Full { room, is_brisk } => {
                    if !is_brisk && wait.is_none() {
                        wait = Some(self.flows.wait_in_slot().ok_or(Hold::by(WaitReason::Window))?);
                    }
                    let full = |_| Hold::by(WaitReason::Window);
                    tokio::time::timeout_at(until, room.notified()).await.map_err(full)?;
                }
            }
        }
    }

    /// The breaker was open, and no job is held: asks Redis whether it is still open. Redis grants one trial.
    async fn trial(&self, id: FlowId, limits: &Limits) -> Result<Pass, Hold> {
        let request = FlowRequest {
            making: self.flows.counted(id),
            more: 1,
            is_made: false,
            is_paid: true,
            is_past_breaker: false,
        };
        let taken = self.acquire_or_hold(id, limits, request).await;
        if taken.granted == 0 {
            self.flows.set_open(id, Some(taken.wait));
            return Err(Hold::by_answer(taken));
        }
        let mut pass = self.flows.enter_trial(id, Instant::now());
        pass.is_trial = taken.why == Some(FlowLimit::Trial);
        if !pass.is_trial {
            self.flows.set_open(id, None);
        }
        Ok(pass)
    }

    /// Checks the limits that all workers share.
    async fn acquire(&self, limits: &Limits, pass: &mut Pass, is_paid: bool) -> Result<(), Hold> {
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
        };
        let taken = self.acquire_or_hold(pass.id, limits, request).await;
        if taken.granted == 0 {
            if taken.why == Some(FlowLimit::Open) {
                self.flows.set_open(pass.id, Some(taken.wait));
            }
            return Err(Hold::by_answer(taken));
        }
        pass.is_trial |= taken.why == Some(FlowLimit::Trial);
        Ok(())
    }

    /// Requests attempts of a flow. Without a reply nothing is granted: the job is held, and its slot is free
    /// for jobs that need no reply.
    async fn acquire_or_hold(&self, id: FlowId, limits: &Limits, request: FlowRequest) -> Grant {
        match self.acquire_once(id, limits, request).await {
            Ok(taken) => taken,
            Err(error) => {
                self.queue.link().down(&error, 0);
                Grant { granted: 0, wait: CHECK_INTERVAL, why: None }
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
                Ok(taken)
            }
            Err(error) if is_refusal(&error) => {
                // Logged once. The connection is not down.
                self.queue.link().tolerate(&error);
                let granted = if limits.are_shared() { 0 } else { request.more };
                Ok(Grant { granted, wait: CHECK_INTERVAL, why: None })
            }
            Err(error) => Err(error),
        }
    }
}
