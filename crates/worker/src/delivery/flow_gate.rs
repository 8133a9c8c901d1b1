//! The way of a job into its flow, before its attempt, and what is told of it afterwards.

use std::time::{Duration, Instant};

use postrider_queue::Error;
use postrider_queue::job::{Admitted, Breaker, Delivery, FlowId, Job, flow_name, of_fields};
use postrider_queue::work::{
    BreakerState, FlowLimit, FlowRequest, Grant, Postponement, Until, WaitReason, fields, is_refusal,
};
use telemetry::ErrorType;
use tracing::{debug, info, warn};

use super::hold::{Hold, LOOK};
use super::settlement::postpone_unsent;
use crate::flows::{Entry, GRACE, Line, Pass, Verdict};
use crate::policy::SendResult;
use crate::shard::runtime::ShardRuntime;

/// Begins an attempt of a job if its flow allows it. Else the job is held, without a slot and at no cost of an
/// attempt, until the flow admits it.
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

/// A job is not sent after all, for a reason of its own. What its flow has granted it goes to the next of those that
/// wait: many may have become too old meanwhile, and they must not use up the trials and tokens of the others.
pub(crate) async fn decline(shard: &ShardRuntime, delivery: &Delivery) {
    let admitted = Admitted::of(&delivery.fields).filter(|admitted| *admitted != Admitted::Old);
    let Some((id, _)) = admitted.and_then(|_| of_fields(&delivery.fields)) else { return };
    came(shard, id, delivery);
    release_flow(shard, id, admitted).await;
    shard.flows.want(id);
}

/// Nothing depends on it: what is not given back comes again with time.
async fn release_flow(shard: &ShardRuntime, id: FlowId, admitted: Option<Admitted>) {
    let limits = shard.flows.limits(id);
    let is_trial = admitted == Some(Admitted::Trial);
    if !is_trial && (limits.rate.is_none() || admitted != Some(Admitted::Yes)) {
        return;
    }
    if let Err(error) = shard.queue.release_flow(id, limits, is_trial).await {
        debug!(%error, "what a flow has granted could not be given back");
    }
}

/// A job has come that was admitted.
fn came(shard: &ShardRuntime, id: FlowId, delivery: &Delivery) {
    let entry = delivery.lease.entry;
    shard.flows.came(id, Duration::from_millis(shard.queue.clock().now().saturating_sub(entry.millis)));
}

/// A pass, or why there is none.
async fn seek(
    shard: &ShardRuntime,
    id: FlowId,
    delivery: &Delivery,
    admitted: Option<Admitted>,
) -> Result<Pass, Hold> {
    let admitted = admitted.filter(|admitted| *admitted != Admitted::Old);
    if admitted.is_some() {
        came(shard, id, delivery);
    }
    let line = match admitted {
        Some(_) => Line::Admitted,
        None if shard.held.contains(id) => Line::Behind,
        None => Line::Free,
    };
    if line == Line::Behind && shard.flows.limits(id).are_shared() {
        // What all workers together may begin is given out in order.
        return Err(Hold::by(WaitReason::Order));
    }
    let mut pass = enter(shard, id, line).await?;
    pass.is_trial |= admitted == Some(Admitted::Trial);
    let limits = shard.flows.limits(id);
    // Who admitted it has taken a token for it.
    if limits.concurrency.is_some() || limits.rate.is_some() && admitted.is_none() {
        ask(shard, &mut pass, admitted.is_some()).await?;
    }
    Ok(pass)
}

/// By what this worker knows itself.
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

/// The breaker has been open, and no job waits: Redis knows whether it still is, and grants one trial.
async fn trial(shard: &ShardRuntime, id: FlowId) -> Result<Pass, Hold> {
    let request = FlowRequest {
        making: shard.flows.counted(id),
        more: 1,
        is_made: false,
        is_paid: true,
        is_past_breaker: false,
    };
    let taken = take(shard, id, request).await;
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

/// By what all workers share.
async fn ask(shard: &ShardRuntime, pass: &mut Pass, is_paid: bool) -> Result<(), Hold> {
    let making = shard.flows.counted(pass.id);
    if shard.flows.limits(pass.id).concurrency.is_some() {
        shard.flows.count(pass.id);
        pass.is_counted = true;
    }
    // What the breaker has granted, as a trial or to a job that was admitted, it must not refuse.
    let request =
        FlowRequest { making, more: 1, is_made: true, is_paid, is_past_breaker: is_paid || pass.is_trial };
    let taken = take(shard, pass.id, request).await;
    if taken.granted == 0 {
        if taken.why == Some(FlowLimit::Open) {
            shard.flows.set_open(pass.id, Some(taken.wait));
        }
        return Err(Hold::by_answer(taken));
    }
    pass.is_trial |= taken.why == Some(FlowLimit::Trial);
    Ok(())
}

/// Asks until Redis answers: without an answer nothing is sent.
async fn take(shard: &ShardRuntime, id: FlowId, request: FlowRequest) -> Grant {
    for failed in 0.. {
        match ask_once(shard, id, request).await {
            Ok(taken) => return taken,
            Err(error) => tokio::time::sleep(shard.queue.link().down(&error, failed)).await,
        }
    }
    unreachable!("there is no end of trying but the end of the task")
}

/// Where Redis refuses the call itself, for a right that is missing or a key of a wrong type, a flow with limits waits
/// until that is mended, without a slot; one without goes by what this worker knows itself.
pub(super) async fn ask_once(shard: &ShardRuntime, id: FlowId, request: FlowRequest) -> Result<Grant, Error> {
    let limits = shard.flows.limits(id);
    match shard.queue.acquire_flow(id, limits, request).await {
        Ok(taken) => {
            shard.queue.link().up();
            Ok(taken)
        }
        Err(error) if is_refusal(&error) => {
            // Told once; it is no trouble with the connection.
            shard.queue.link().down(&error, 0);
            let granted = if limits.are_shared() { 0 } else { request.more };
            Ok(Grant { granted, wait: LOOK, why: None })
        }
        Err(error) => Err(error),
    }
}

/// After an attempt: tells the breaker what must be told, and those who wait.
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
                fails(shard, id, job, breaker).await;
            }
        }
        Some(_) if is_trial || is_open => works(shard, id, job, breaker).await,
        // It proved nothing of the others: the next is tried. A proxy that is down would fail all of them.
        None if is_trial && result.error() == Some(ErrorType::Refused) => {
            release_flow(shard, id, Some(Admitted::Trial)).await;
        }
        _ => {}
    }
    if is_counted && let Err(error) = tell_one(shard, id).await {
        debug!(%error, "the end of an attempt could not be counted; it is soon");
    }
    shard.flows.want(id);
}

/// Tells again how many attempts this worker is making of each flow that has a limit for all workers: an old
/// number is not believed.
pub(crate) async fn tell(shard: &ShardRuntime) {
    for id in shard.flows.all_counted() {
        if tell_one(shard, id).await.is_err() {
            // Redis has other troubles, which others tell.
            return;
        }
    }
}

async fn tell_one(shard: &ShardRuntime, id: FlowId) -> Result<Grant, Error> {
    let request = FlowRequest {
        making: shard.flows.counted(id),
        more: 0,
        is_made: false,
        is_paid: true,
        is_past_breaker: true,
    };
    shard.queue.acquire_flow(id, shard.flows.limits(id), request).await
}

async fn fails(shard: &ShardRuntime, id: FlowId, job: &Job, breaker: Breaker) {
    let spread = 0.75 + fastrand::f64() / 2.0;
    let flow = flow_name(job);
    let told = match shard.queue.report_flow(id, &flow, false, breaker, spread).await {
        Ok(told) => told,
        Err(error) => {
            debug!(%error, "a breaker could not be told to the other workers");
            BreakerState { closed_for: breaker.pause, times: 2 }
        }
    };
    shard.flows.set_open(id, Some(told.closed_for));
    let pause = told.closed_for;
    if told.times == 1 {
        shard.counts.tripped();
        warn!(flow, ?pause, "the destination does not answer: its jobs wait, and one is tried after a pause");
    } else {
        debug!(flow, ?pause, "a trial failed");
    }
}

async fn works(shard: &ShardRuntime, id: FlowId, job: &Job, breaker: Breaker) {
    shard.flows.set_open(id, None);
    match shard.queue.report_flow(id, "", true, breaker, 1.0).await {
        Ok(_) => info!(flow = flow_name(job), "the destination answers again"),
        Err(error) => debug!(%error, "a breaker could not be told to the other workers"),
    }
}

/// An answer proves that the destination is there, but for those that are given in its place: 502, 503, 504.
/// What was not sent proves nothing.
fn verdict(result: &SendResult) -> Option<Verdict> {
    match (result.status(), result.error()) {
        (Some(429), _) => Some(Verdict::TooMany),
        (Some(502..=504), _) => Some(Verdict::Fails),
        (Some(_), _) => Some(Verdict::Works),
        (None, Some(ErrorType::Refused | ErrorType::Proxy)) => None,
        (None, _) => Some(Verdict::Fails),
    }
}
