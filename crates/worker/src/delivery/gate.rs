//! The way of a job into its flow, before its attempt, and what is told of it afterwards.

use std::time::{Duration, Instant};

use postrider_queue::Error;
use postrider_queue::job::{Admitted, Breaker, Delivery, FlowId, Job, flow_name, of_fields};
use postrider_queue::work::{Asking, Parking, Taken, Told, Until, WaitReason, Why, fields, is_refusal};
use telemetry::ErrorType;
use tracing::{debug, info, warn};

use super::hold::{Hold, LOOK};
use super::settlement::put_aside;
use crate::flows::{Entry, GRACE, Line, Pass, Verdict};
use crate::policy::Ending;
use crate::shard::lane::Lane;

/// Begins an attempt of a job if its flow allows it. Else the job is parked, without a slot and at no cost of an
/// attempt, until the flow admits it.
pub(crate) async fn pass(lane: &Lane, delivery: &Delivery, job: &Job) -> Option<Pass> {
    let id = FlowId::of_job(job);
    let Hold { within, why } = match seek(lane, id, delivery, job.trail.admitted).await {
        Ok(pass) => return Some(pass),
        Err(hold) => hold,
    };
    give_back(lane, id, job.trail.admitted).await;
    lane.held.insert(id);
    let parking = Parking {
        ticket: job.ticket.clone(),
        until: Until::Admitted { flow: id, within },
        why,
        at: job.trail.at,
        fields: fields::without_place(&delivery.fields),
    };
    put_aside(lane, delivery, job, parking).await;
    lane.counts.parked();
    None
}

/// A job is not sent after all, for a reason of its own. What its flow has granted it goes to the next of those that
/// wait: many may have become too old meanwhile, and they must not use up the trials and tokens of the others.
pub(crate) async fn decline(lane: &Lane, delivery: &Delivery) {
    let admitted = Admitted::of(&delivery.fields).filter(|admitted| *admitted != Admitted::Old);
    let Some((id, _)) = admitted.and_then(|_| of_fields(&delivery.fields)) else { return };
    came(lane, id, delivery);
    give_back(lane, id, admitted).await;
    lane.flows.want(id);
}

/// Nothing depends on it: what is not given back comes again with time.
async fn give_back(lane: &Lane, id: FlowId, admitted: Option<Admitted>) {
    let limits = lane.flows.limits(id);
    let is_trial = admitted == Some(Admitted::Trial);
    if !is_trial && (limits.rate.is_none() || admitted != Some(Admitted::Yes)) {
        return;
    }
    if let Err(error) = lane.queue.give_back(id, limits, is_trial).await {
        debug!(%error, "what a flow has granted could not be given back");
    }
}

/// A job has come that was admitted.
fn came(lane: &Lane, id: FlowId, delivery: &Delivery) {
    let entry = delivery.lease.entry;
    lane.flows.came(id, Duration::from_millis(lane.queue.clock().now().saturating_sub(entry.millis)));
}

/// A pass, or why there is none.
async fn seek(
    lane: &Lane,
    id: FlowId,
    delivery: &Delivery,
    admitted: Option<Admitted>,
) -> Result<Pass, Hold> {
    let admitted = admitted.filter(|admitted| *admitted != Admitted::Old);
    if admitted.is_some() {
        came(lane, id, delivery);
    }
    let line = match admitted {
        Some(_) => Line::Admitted,
        None if lane.held.contains(id) => Line::Behind,
        None => Line::Free,
    };
    if line == Line::Behind && lane.flows.limits(id).are_shared() {
        // What all workers together may begin is given out in order.
        return Err(Hold::by(WaitReason::Order));
    }
    let mut pass = enter(lane, id, line).await?;
    pass.is_trial |= admitted == Some(Admitted::Trial);
    let limits = lane.flows.limits(id);
    // Who admitted it has taken a token for it.
    if limits.concurrency.is_some() || limits.rate.is_some() && admitted.is_none() {
        ask(lane, &mut pass, admitted.is_some()).await?;
    }
    Ok(pass)
}

/// By what this worker knows itself.
async fn enter(lane: &Lane, id: FlowId, line: Line) -> Result<Pass, Hold> {
    let until = tokio::time::Instant::now() + GRACE;
    loop {
        match lane.flows.enter(id, line, Instant::now()) {
            Entry::Go(pass) => return Ok(pass),
            Entry::Open(within) => return Err(Hold { within, why: WaitReason::Breaker }),
            Entry::Trial => return trial(lane, id).await,
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
async fn trial(lane: &Lane, id: FlowId) -> Result<Pass, Hold> {
    let asking = Asking {
        making: lane.flows.counted(id),
        more: 1,
        is_made: false,
        is_paid: true,
        is_past_breaker: false,
    };
    let taken = take(lane, id, asking).await;
    if taken.granted == 0 {
        lane.flows.set_open(id, Some(taken.wait));
        return Err(Hold::by_answer(taken));
    }
    let mut pass = lane.flows.enter_trial(id, Instant::now());
    pass.is_trial = taken.why == Some(Why::Trial);
    if !pass.is_trial {
        lane.flows.set_open(id, None);
    }
    Ok(pass)
}

/// By what all workers share.
async fn ask(lane: &Lane, pass: &mut Pass, is_paid: bool) -> Result<(), Hold> {
    let making = lane.flows.counted(pass.id);
    if lane.flows.limits(pass.id).concurrency.is_some() {
        lane.flows.count(pass.id);
        pass.is_counted = true;
    }
    // What the breaker has granted, as a trial or to a job that was admitted, it must not refuse.
    let asking =
        Asking { making, more: 1, is_made: true, is_paid, is_past_breaker: is_paid || pass.is_trial };
    let taken = take(lane, pass.id, asking).await;
    if taken.granted == 0 {
        if taken.why == Some(Why::Open) {
            lane.flows.set_open(pass.id, Some(taken.wait));
        }
        return Err(Hold::by_answer(taken));
    }
    pass.is_trial |= taken.why == Some(Why::Trial);
    Ok(())
}

/// Asks until Redis answers: without an answer nothing is sent.
async fn take(lane: &Lane, id: FlowId, asking: Asking) -> Taken {
    for failed in 0.. {
        match ask_once(lane, id, asking).await {
            Ok(taken) => return taken,
            Err(error) => tokio::time::sleep(lane.queue.link().down(&error, failed)).await,
        }
    }
    unreachable!("there is no end of trying but the end of the task")
}

/// Where Redis refuses the call itself, for a right that is missing or a key of a wrong type, a flow with limits waits
/// until that is mended, without a slot; one without goes by what this worker knows itself.
pub(super) async fn ask_once(lane: &Lane, id: FlowId, asking: Asking) -> Result<Taken, Error> {
    let limits = lane.flows.limits(id);
    match lane.queue.take_flow(id, limits, asking).await {
        Ok(taken) => {
            lane.queue.link().up();
            Ok(taken)
        }
        Err(error) if is_refusal(&error) => {
            // Told once; it is no trouble with the connection.
            lane.queue.link().down(&error, 0);
            let granted = if limits.are_shared() { 0 } else { asking.more };
            Ok(Taken { granted, wait: LOOK, why: None })
        }
        Err(error) => Err(error),
    }
}

/// After an attempt: tells the breaker what must be told, and those who wait.
pub(crate) async fn end(lane: &Lane, job: &Job, mut pass: Pass, ending: &Ending) {
    let verdict = verdict(ending);
    if let Some(verdict) = verdict {
        pass.end(verdict);
    }
    let (id, is_trial, is_counted) = (pass.id, pass.is_trial, pass.is_counted);
    drop(pass);
    let breaker = lane.flows.limits(id).breaker;
    let is_open = lane.flows.is_open(id);
    match verdict {
        Some(Verdict::Fails) => {
            let failures = lane.flows.failures(id);
            if breaker.failures > 0 && (is_trial || !is_open && failures >= breaker.failures) {
                fails(lane, id, job, breaker).await;
            }
        }
        Some(_) if is_trial || is_open => works(lane, id, job, breaker).await,
        // It proved nothing of the others: the next is tried. A proxy that is down would fail all of them.
        None if is_trial && ending.error() == Some(ErrorType::Refused) => {
            give_back(lane, id, Some(Admitted::Trial)).await;
        }
        _ => {}
    }
    if is_counted && let Err(error) = tell_one(lane, id).await {
        debug!(%error, "the end of an attempt could not be counted; it is soon");
    }
    lane.flows.want(id);
}

/// Tells again how many attempts this worker is making of each flow that has a limit for all workers: an old
/// number is not believed.
pub(crate) async fn tell(lane: &Lane) {
    for id in lane.flows.all_counted() {
        if tell_one(lane, id).await.is_err() {
            // Redis has other troubles, which others tell.
            return;
        }
    }
}

async fn tell_one(lane: &Lane, id: FlowId) -> Result<Taken, Error> {
    let asking = Asking {
        making: lane.flows.counted(id),
        more: 0,
        is_made: false,
        is_paid: true,
        is_past_breaker: true,
    };
    lane.queue.take_flow(id, lane.flows.limits(id), asking).await
}

async fn fails(lane: &Lane, id: FlowId, job: &Job, breaker: Breaker) {
    let spread = 0.75 + fastrand::f64() / 2.0;
    let flow = flow_name(job);
    let told = match lane.queue.tell_flow(id, &flow, false, breaker, spread).await {
        Ok(told) => told,
        Err(error) => {
            debug!(%error, "a breaker could not be told to the other workers");
            Told { closed_for: breaker.pause, times: 2 }
        }
    };
    lane.flows.set_open(id, Some(told.closed_for));
    let pause = told.closed_for;
    if told.times == 1 {
        lane.counts.tripped();
        warn!(flow, ?pause, "the destination does not answer: its jobs wait, and one is tried after a pause");
    } else {
        debug!(flow, ?pause, "a trial failed");
    }
}

async fn works(lane: &Lane, id: FlowId, job: &Job, breaker: Breaker) {
    lane.flows.set_open(id, None);
    match lane.queue.tell_flow(id, "", true, breaker, 1.0).await {
        Ok(_) => info!(flow = flow_name(job), "the destination answers again"),
        Err(error) => debug!(%error, "a breaker could not be told to the other workers"),
    }
}

/// An answer proves that the destination is there, but for those that are given in its place: 502, 503, 504.
/// What was not sent proves nothing.
fn verdict(ending: &Ending) -> Option<Verdict> {
    match (ending.status(), ending.error()) {
        (Some(429), _) => Some(Verdict::TooMany),
        (Some(502..=504), _) => Some(Verdict::Fails),
        (Some(_), _) => Some(Verdict::Works),
        (None, Some(ErrorType::Refused | ErrorType::Proxy)) => None,
        (None, _) => Some(Verdict::Fails),
    }
}
