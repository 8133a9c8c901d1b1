//! Lets a job pass its flow before an attempt, and reports the outcome to the flow afterwards.

use std::time::{Duration, Instant};

use postrider_queue::Error;
use postrider_queue::job::{Admitted, Breaker, Delivery, FlowId, Job, flow_name, of_fields};
use postrider_queue::work::{
    BreakerState, FlowLimit, FlowRequest, Grant, Postponement, Until, WaitReason, fields, is_refusal,
};
use telemetry::ErrorType;
use tracing::{debug, info, warn};

use super::hold::{CHECK_INTERVAL, Hold};
use super::settlement::postpone_unsent;
use crate::flows::{Entry, GRACE, Line, Pass, Verdict};
use crate::policy::SendResult;
use crate::shard::runtime::ShardRuntime;

/// Begins an attempt of a job if its flow allows it. Otherwise the job is held until the flow admits it. A
/// held job occupies no slot, and the delivery does not count as an attempt.
pub(crate) async fn pass(shard: &ShardRuntime, delivery: &Delivery, job: &Job) -> Option<Pass> {
    let id = FlowId::of_job(job);
    let Hold { within, why } = match seek(shard, id, delivery, job.trail.admitted).await {
        Ok(pass) => return Some(pass),
        Err(hold) => hold,
    };
    release_flow(shard, id, job.trail.admitted).await;
    shard.held.insert(id);
    let postponement = Postponement {
        job_id: job.id.clone(),
        until: Until::Admitted { flow: id, within },
        why,
        at: job.trail.at,
        fields: fields::without_place(&delivery.fields),
    };
    postpone_unsent(shard, delivery, job, postponement).await;
    shard.counts.held();
    None
}

/// Gives back what a flow granted to a job that is not sent after all, for example because it expired. The
/// next held job gets it: many jobs may have expired, and they must not use up the trials and tokens of the
/// others.
pub(crate) async fn decline(shard: &ShardRuntime, delivery: &Delivery) {
    let admitted = Admitted::of(&delivery.fields).filter(|admitted| *admitted != Admitted::Old);
    let Some((id, _)) = admitted.and_then(|_| of_fields(&delivery.fields)) else { return };
    record_arrival(shard, id, delivery);
    release_flow(shard, id, admitted).await;
    shard.flows.want(id);
}

/// Best effort: tokens and trials that are not given back renew with time.
async fn release_flow(shard: &ShardRuntime, id: FlowId, admitted: Option<Admitted>) {
    let limits = shard.flows.limits(id);
    let is_trial = admitted == Some(Admitted::Trial);
    if !is_trial && (limits.rate.is_none() || admitted != Some(Admitted::Yes)) {
        return;
    }
    if let Err(error) = shard.queue.release_flow(id, limits, is_trial).await {
        debug!(%error, "could not give back the token or trial of a job that was not sent");
    }
}

/// Records that an admitted job has arrived.
fn record_arrival(shard: &ShardRuntime, id: FlowId, delivery: &Delivery) {
    let entry = delivery.lease.entry;
    shard.flows.came(id, Duration::from_millis(shard.queue.clock().now().saturating_sub(entry.millis)));
}

/// Returns a pass, or why the job must be held.
async fn seek(
    shard: &ShardRuntime,
    id: FlowId,
    delivery: &Delivery,
    admitted: Option<Admitted>,
) -> Result<Pass, Hold> {
    let admitted = admitted.filter(|admitted| *admitted != Admitted::Old);
    if admitted.is_some() {
        record_arrival(shard, id, delivery);
    }
    let line = match admitted {
        Some(_) => Line::Admitted,
        None if shard.held.contains(id) => Line::Behind,
        None => Line::Free,
    };
    if line == Line::Behind && shard.flows.limits(id).are_shared() {
        // Limits that all workers share are granted in the order of the jobs.
        return Err(Hold::by(WaitReason::Order));
    }
    let mut pass = enter(shard, id, line).await?;
    pass.is_trial |= admitted == Some(Admitted::Trial);
    let limits = shard.flows.limits(id);
    // The worker that admitted the job has taken its token.
    if limits.concurrency.is_some() || limits.rate.is_some() && admitted.is_none() {
        acquire(shard, &mut pass, admitted.is_some()).await?;
    }
    Ok(pass)
}

/// Checks the limits that this worker knows without Redis.
async fn enter(shard: &ShardRuntime, id: FlowId, line: Line) -> Result<Pass, Hold> {
    let until = tokio::time::Instant::now() + GRACE;
    loop {
        match shard.flows.enter(id, line, Instant::now()) {
            Entry::Go(pass) => return Ok(pass),
            Entry::Open(within) => return Err(Hold { within, why: WaitReason::Breaker }),
            Entry::Trial => return trial(shard, id).await,
            Entry::Full { is_brisk: false, .. } if line == Line::Behind => {
                return Err(Hold::by(WaitReason::Window));
            }
            Entry::Full { room, .. } => {
                let full = |_| Hold::by(WaitReason::Window);
                tokio::time::timeout_at(until, room.notified()).await.map_err(full)?;
            }
        }
    }
}

/// The breaker was open, and no job is held: asks Redis whether it is still open. Redis grants one trial.
async fn trial(shard: &ShardRuntime, id: FlowId) -> Result<Pass, Hold> {
    let request = FlowRequest {
        making: shard.flows.counted(id),
        more: 1,
        is_made: false,
        is_paid: true,
        is_past_breaker: false,
    };
    let taken = acquire_until_reply(shard, id, request).await;
    if taken.granted == 0 {
        shard.flows.set_open(id, Some(taken.wait));
        return Err(Hold::by_answer(taken));
    }
    let mut pass = shard.flows.enter_trial(id, Instant::now());
    pass.is_trial = taken.why == Some(FlowLimit::Trial);
    if !pass.is_trial {
        shard.flows.set_open(id, None);
    }
    Ok(pass)
}

/// Checks the limits that all workers share.
async fn acquire(shard: &ShardRuntime, pass: &mut Pass, is_paid: bool) -> Result<(), Hold> {
    let making = shard.flows.counted(pass.id);
    if shard.flows.limits(pass.id).concurrency.is_some() {
        shard.flows.count(pass.id);
        pass.is_counted = true;
    }
    // The breaker must not refuse a trial or an admitted job that it granted before.
    let request =
        FlowRequest { making, more: 1, is_made: true, is_paid, is_past_breaker: is_paid || pass.is_trial };
    let taken = acquire_until_reply(shard, pass.id, request).await;
    if taken.granted == 0 {
        if taken.why == Some(FlowLimit::Open) {
            shard.flows.set_open(pass.id, Some(taken.wait));
        }
        return Err(Hold::by_answer(taken));
    }
    pass.is_trial |= taken.why == Some(FlowLimit::Trial);
    Ok(())
}

/// Repeats the request until Redis replies. Nothing is sent before.
async fn acquire_until_reply(shard: &ShardRuntime, id: FlowId, request: FlowRequest) -> Grant {
    for failed in 0.. {
        match acquire_once(shard, id, request).await {
            Ok(taken) => return taken,
            Err(error) => tokio::time::sleep(shard.queue.link().down(&error, failed)).await,
        }
    }
    unreachable!("the loop has no bound")
}

/// Requests attempts of a flow once. Redis may refuse the call itself, for a missing right or a key of a
/// wrong type. Then the jobs of a flow with shared limits are held until that is corrected; a flow without
/// them uses only the limits that this worker knows.
pub(super) async fn acquire_once(
    shard: &ShardRuntime,
    id: FlowId,
    request: FlowRequest,
) -> Result<Grant, Error> {
    let limits = shard.flows.limits(id);
    match shard.queue.acquire_flow(id, limits, request).await {
        Ok(taken) => {
            shard.queue.link().up();
            Ok(taken)
        }
        Err(error) if is_refusal(&error) => {
            // Logged once. The connection is not down.
            shard.queue.link().down(&error, 0);
            let granted = if limits.are_shared() { 0 } else { request.more };
            Ok(Grant { granted, wait: CHECK_INTERVAL, why: None })
        }
        Err(error) => Err(error),
    }
}

/// Ends an attempt: reports a relevant outcome to the breaker, and wakes held jobs.
pub(crate) async fn end(shard: &ShardRuntime, job: &Job, mut pass: Pass, result: &SendResult) {
    let verdict = verdict(result);
    if let Some(verdict) = verdict {
        pass.end(verdict);
    }
    let (id, is_trial, is_counted) = (pass.id, pass.is_trial, pass.is_counted);
    drop(pass);
    let breaker = shard.flows.limits(id).breaker;
    let is_open = shard.flows.is_open(id);
    match verdict {
        Some(Verdict::Fails) => {
            let failures = shard.flows.failures(id);
            if breaker.failures > 0 && (is_trial || !is_open && failures >= breaker.failures) {
                report_failure(shard, id, job, breaker).await;
            }
        }
        Some(_) if is_trial || is_open => report_success(shard, id, job, breaker).await,
        // The egress policy refused this trial, which proves nothing about the destination: the next job is
        // tried. A failed proxy gives no trial back, since it would fail each of them.
        None if is_trial && result.error() == Some(ErrorType::Refused) => {
            release_flow(shard, id, Some(Admitted::Trial)).await;
        }
        _ => {}
    }
    if is_counted && let Err(error) = report_attempts(shard, id).await {
        debug!(%error, "could not report the end of an attempt; the next report contains it");
    }
    shard.flows.want(id);
}

/// Reports how many attempts this worker makes of each flow whose concurrency is limited over all workers. A
/// report expires after 15 s.
pub(crate) async fn report_all_attempts(shard: &ShardRuntime) {
    for id in shard.flows.all_counted() {
        if report_attempts(shard, id).await.is_err() {
            // Other loops log that Redis fails.
            return;
        }
    }
}

async fn report_attempts(shard: &ShardRuntime, id: FlowId) -> Result<Grant, Error> {
    let request = FlowRequest {
        making: shard.flows.counted(id),
        more: 0,
        is_made: false,
        is_paid: true,
        is_past_breaker: true,
    };
    shard.queue.acquire_flow(id, shard.flows.limits(id), request).await
}

async fn report_failure(shard: &ShardRuntime, id: FlowId, job: &Job, breaker: Breaker) {
    let spread = 0.75 + fastrand::f64() / 2.0;
    let flow = flow_name(job);
    let state = match shard.queue.report_flow(id, &flow, false, breaker, spread).await {
        Ok(state) => state,
        Err(error) => {
            debug!(%error, "could not report to the breaker that all workers share");
            BreakerState { closed_for: breaker.pause, times: 2 }
        }
    };
    shard.flows.set_open(id, Some(state.closed_for));
    let pause = state.closed_for;
    if state.times == 1 {
        shard.counts.tripped();
        warn!(
            flow,
            ?pause,
            "the destination does not answer: its jobs are held, and one is sent as a trial after a pause"
        );
    } else {
        debug!(flow, ?pause, "a trial failed");
    }
}

async fn report_success(shard: &ShardRuntime, id: FlowId, job: &Job, breaker: Breaker) {
    shard.flows.set_open(id, None);
    match shard.queue.report_flow(id, "", true, breaker, 1.0).await {
        Ok(_) => info!(flow = flow_name(job), "the destination answers again"),
        Err(error) => debug!(%error, "could not report to the breaker that all workers share"),
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
