//! Flows: their state that all workers share, and the jobs that they hold.

use std::time::Duration;

use fred::types::Value;

use crate::job::{Admitted, Breaker, FlowId, Limits};
use crate::redis::{Error, Keys, Queue, number, unexpected};

/// A trial without a report after this time was lost with its worker.
const TRIAL: Duration = Duration::from_secs(30);

/// A worker's request for attempts of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRequest {
    /// How many attempts the worker makes now, for its count in Redis.
    pub making: usize,
    /// How many more it wants to make.
    pub more: usize,
    /// Whether it makes them itself and now; else the worker that makes them counts them.
    pub is_made: bool,
    /// Whether their tokens were taken before, or none are needed.
    pub is_paid: bool,
    /// Whether the breaker let them pass before.
    pub is_past_breaker: bool,
}

/// A flow's reply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The number of attempts granted.
    pub granted: usize,
    /// The time until the next request.
    pub wait: Duration,
    /// Why not all, or only one.
    pub why: Option<FlowLimit>,
}

/// What limits a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowLimit {
    /// Its breaker is open.
    Open,
    /// Its breaker allows one attempt, as a trial.
    Trial,
    /// Its rate.
    Rate,
    /// Its concurrency.
    Concurrency,
}

/// The state of a breaker after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerState {
    /// How long it stays open from now; zero if it is closed.
    pub closed_for: Duration,
    /// How often in a row it has opened.
    pub times: u32,
}

/// How a flow admits the jobs that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The number of jobs.
    pub count: usize,
    /// The mark that they carry.
    pub admitted: Admitted,
    /// The time until the flow's next check.
    pub again: Duration,
    /// Jobs enqueued before this time are admitted in addition: they are too old. Unix milliseconds, 0 for
    /// none.
    pub older_than: u64,
}

impl Queue {
    /// Acquires attempts of a flow. A granted attempt that is not used costs a token, and nothing else.
    ///
    /// # Errors
    /// fred's.
    pub async fn acquire_flow(
        &self,
        id: FlowId,
        limits: &Limits,
        request: FlowRequest,
    ) -> Result<Grant, Error> {
        let rate = limits.rate.filter(|_| !request.is_paid);
        let args: Vec<Value> = vec![
            self.0.consumer.name.as_str().into(),
            number(request.making as u64),
            number(request.more as u64),
            number(request.is_made.into()),
            rate.map_or(0.0, |rate| rate.per_second).to_string().into(),
            number(limits.rate.map_or(0, |rate| rate.burst).into()),
            number(limits.concurrency.unwrap_or(0).into()),
            number(TRIAL.as_millis() as u64),
            number(request.is_past_breaker.into()),
            number(limits.breaker.longest.as_millis() as u64),
        ];
        let keys = vec![Keys::limits(id)];
        let reply = self.0.scripts.flow_acquire.poll(&self.0.redis, keys, args).await?;
        let (granted, wait, why): (usize, u64, String) = reply.convert()?;
        let why = match why.as_str() {
            "-" => None,
            "o" => Some(FlowLimit::Open),
            "t" => Some(FlowLimit::Trial),
            "r" => Some(FlowLimit::Rate),
            "c" => Some(FlowLimit::Concurrency),
            _ => return Err(unexpected()),
        };
        Ok(Grant { granted, wait: Duration::from_millis(wait.max(10)), why })
    }

    /// Reports to the breaker of a flow whether the destination works; `error` is why it does not. `spread` is
    /// the factor of the pause, at most 1.25. The tools show `name` and `error`.
    ///
    /// # Errors
    /// fred's.
    pub async fn report_flow(
        &self,
        id: FlowId,
        name: &str,
        error: Option<&str>,
        breaker: Breaker,
        spread: f64,
    ) -> Result<BreakerState, Error> {
        let args: Vec<Value> = vec![
            if error.is_none() { "works" } else { "fails" }.into(),
            number(breaker.pause.as_millis() as u64),
            number(breaker.longest.as_millis() as u64),
            spread.to_string().into(),
            name.into(),
            error.unwrap_or_default().into(),
        ];
        let keys = vec![Keys::limits(id)];
        let reply = self.0.scripts.flow_report.poll(&self.0.redis, keys, args).await?;
        let (millis, times): (u64, u32) = reply.convert()?;
        Ok(BreakerState { closed_for: Duration::from_millis(millis), times })
    }

    /// Gives back what a flow granted to one job that is not sent after all.
    ///
    /// # Errors
    /// fred's.
    pub async fn release_flow(&self, id: FlowId, limits: &Limits, is_trial: bool) -> Result<(), Error> {
        let args = vec![number(is_trial.into()), number(limits.rate.map_or(0, |rate| rate.burst).into())];
        self.0.scripts.flow_release.poll(&self.0.redis, vec![Keys::limits(id)], args).await.map(drop)
    }

    /// Moves jobs that a flow holds to the stream, oldest first. Returns how many it moved and how many are
    /// left.
    ///
    /// # Errors
    /// fred's.
    pub async fn admit(&self, id: FlowId, admission: &Admission) -> Result<(usize, u64), Error> {
        let own = &self.0.keys;
        let keys =
            vec![own.jobs.clone(), own.waiting.clone(), own.flow(id), own.dead.clone(), own.flows.clone()];
        let args: Vec<Value> = vec![
            id.to_string().into(),
            number(admission.count as u64),
            admission.admitted.as_str().into(),
            number(admission.again.as_millis() as u64),
            number(admission.older_than),
        ];
        let reply = self.0.scripts.admit.poll(&self.0.redis, keys, args).await?;
        let (moved, left, now): (usize, u64, u64) = reply.convert()?;
        self.0.clock.set(now);
        Ok((moved, left))
    }
}
