//! Flows: their state that all workers share, and the jobs that they hold.

use std::time::{Duration, Instant};

use fred::types::Value;

use crate::job::{Admitted, Breaker, FlowId, Limits};
use crate::redis::{Error, Keys, QueueShard, number, unexpected};

/// A trial without a report after this time was lost with its worker.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// The kind of the job, if an open breaker shall let one job of a kind pass that it was not opened for.
    pub kind: Option<u32>,
}

/// What a worker reports to a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FlowReport<'a> {
    /// The destination works.
    Works,
    /// It does not.
    Fails {
        /// The breaker's pauses.
        breaker: Breaker,
        /// The factor of the pause, at most 1.25.
        spread: f64,
        /// The kinds of jobs that have failed.
        kinds: &'a [u32],
    },
    /// It answered that there were too many requests.
    TooMany {
        /// The time that it asks to wait.
        wait: Duration,
        /// The longest hold.
        longest: Duration,
        /// How many attempts of this worker it has answered otherwise within the last second.
        accepted: u32,
    },
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
    /// Whether the flow has a rate that was learned from its destination.
    pub has_learned_rate: bool,
    /// Whether a trial is for a held job that has failed before, if there is one.
    pub is_for_failed: bool,
}

/// What limits a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowLimit {
    /// Its destination asked to wait.
    Asked,
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
    /// Whether it is open for this worker alone, since others reach the destination.
    pub is_alone: bool,
}

/// How a flow admits the jobs that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission<'a> {
    /// The number of jobs.
    pub count: usize,
    /// The mark that they carry.
    pub admitted: Admitted,
    /// The time until the flow's next check.
    pub again: Duration,
    /// Which jobs come first.
    pub order: AdmissionOrder,
    /// The ids of jobs that are admitted in addition: they have expired.
    pub expired: &'a [String],
}

/// The order in which a flow admits jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionOrder {
    /// This number of jobs that have failed before, then the others by their failures and their age.
    FailedFirst(usize),
    /// Only jobs that have not failed, and whose kind does not fail.
    UntriedOnly,
    /// Only such jobs, the newest first: an older one may be of a kind that has failed since it was held.
    NewestUntried,
}

/// The text of an error, of bounded length.
fn bounded(error: &str) -> &str {
    const BYTES_MAX: usize = 200;
    &error[..error.floor_char_boundary(BYTES_MAX)]
}

impl QueueShard {
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
            number(TRIAL_TIMEOUT.as_millis() as u64),
            number(request.is_past_breaker.into()),
            number(limits.breaker.longest.as_millis() as u64),
            number(limits.longest_hold.as_millis() as u64),
            number(request.is_paid.into()),
            request.kind.map_or_else(String::new, |kind| kind.to_string()).into(),
        ];
        let keys = vec![Keys::limits(id)];
        let reply = self.0.scripts.flow_acquire.poll(&self.0.redis, keys, args).await?;
        let (granted, wait, why, learned): (usize, u64, String, u64) = reply.convert()?;
        let is_for_failed = why == "T";
        let why = match why.as_str() {
            "-" => None,
            "h" => Some(FlowLimit::Asked),
            "o" => Some(FlowLimit::Open),
            "t" | "T" => Some(FlowLimit::Trial),
            "r" => Some(FlowLimit::Rate),
            "c" => Some(FlowLimit::Concurrency),
            _ => return Err(unexpected()),
        };
        let wait = Duration::from_millis(wait.max(10));
        Ok(Grant { granted, wait, why, has_learned_rate: learned > 0, is_for_failed })
    }

    /// Reports to a flow what its attempts have shown. The tools show `name` and `error`.
    ///
    /// # Errors
    /// fred's.
    pub async fn report_flow(
        &self,
        id: FlowId,
        name: &str,
        error: &str,
        report: FlowReport<'_>,
    ) -> Result<BreakerState, Error> {
        let (what, rest): (_, Vec<Value>) = match report {
            FlowReport::Works => ("works", vec![]),
            FlowReport::Fails { breaker, spread, kinds } => {
                let kinds: String = kinds.iter().map(|kind| format!(" {kind} ")).collect();
                let times = [breaker.pause, breaker.longest].map(|time| number(time.as_millis() as u64));
                let [pause, longest] = times;
                ("fails", vec![pause, longest, spread.to_string().into(), kinds.into()])
            }
            FlowReport::TooMany { wait, longest, accepted } => {
                let times = [wait, longest].map(|time| number(time.as_millis() as u64));
                let [wait, longest] = times;
                ("asks", vec![wait, longest, number(accepted.into())])
            }
        };
        let mut args: Vec<Value> = vec![what.into(), self.0.consumer.name.as_str().into()];
        args.extend([Value::from(name), bounded(error).into()]);
        args.extend(rest);
        let keys = vec![Keys::limits(id)];
        let reply = self.0.scripts.flow_report.poll(&self.0.redis, keys, args).await?;
        let (millis, times, alone): (u64, u32, u64) = reply.convert()?;
        Ok(BreakerState { closed_for: Duration::from_millis(millis), times, is_alone: alone > 0 })
    }

    /// Gives back what a flow granted to one job that is not sent after all.
    ///
    /// # Errors
    /// fred's.
    pub async fn release_flow(&self, id: FlowId, limits: &Limits, is_trial: bool) -> Result<(), Error> {
        let args = vec![number(is_trial.into()), number(limits.rate.map_or(0, |rate| rate.burst).into())];
        self.0.scripts.flow_release.poll(&self.0.redis, vec![Keys::limits(id)], args).await.map(drop)
    }

    /// Moves jobs that a flow holds to the stream: those that have failed least often first, and of these the
    /// oldest. Returns how many it moved and how many are left.
    ///
    /// # Errors
    /// fred's.
    pub async fn admit(&self, id: FlowId, admission: &Admission<'_>) -> Result<(usize, u64), Error> {
        let own = &self.0.keys;
        let mut keys = vec![
            own.jobs.clone(),
            own.waiting.clone(),
            own.flow(id),
            own.rejected.clone(),
            own.flows.clone(),
            own.expiring.clone(),
            own.stats.clone(),
        ];
        let mut args: Vec<Value> = vec![
            id.to_string().into(),
            number(admission.count as u64),
            admission.admitted.as_str().into(),
            number(admission.again.as_millis() as u64),
            match admission.order {
                AdmissionOrder::FailedFirst(jobs) => number(jobs as u64),
                AdmissionOrder::UntriedOnly => "-1".into(),
                AdmissionOrder::NewestUntried => "-2".into(),
            },
        ];
        if let Some(target) = self.0.log.target() {
            target.push(own, &mut keys, &mut args);
        }
        args.extend(admission.expired.iter().map(|job_id| Value::from(job_id.as_str())));
        let asked = Instant::now();
        let reply = self.0.scripts.admit.poll(&self.0.redis, keys, args).await?;
        let (moved, left, now): (usize, u64, u64) = reply.convert()?;
        self.0.clock.set(now, asked);
        Ok((moved, left))
    }
}
