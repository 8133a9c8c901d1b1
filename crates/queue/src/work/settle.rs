//! Settles jobs. Each settlement is one script, which refuses a lost lease.

use std::time::Duration;

use bytes::Bytes;
use fred::types::Value;
use telemetry::Context;

use super::fetch::IN_FLIGHT_MAX;
use crate::job::{Fields, FlowId, Lease, Reason};
use crate::redis::{Error, Queue, Settled, ids, number, push_fields, unexpected};
use crate::trail::fields::has_delay;

/// How many dead letters are kept, approximately.
pub(crate) const DEAD_LETTERS_MAX: u64 = 100_000;
/// How long dead letters are kept, approximately: 30 days.
pub(crate) const DEAD_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// A job to schedule or to hold.
#[derive(Clone, Debug)]
pub struct Postponement {
    /// The job id.
    pub job_id: Bytes,
    /// What it waits for.
    pub until: Until,
    /// Why.
    pub why: WaitReason,
    /// When it was enqueued, Unix milliseconds, if known.
    pub at: Option<u64>,
    /// Its fields, without `_job_id` and `_enqueued_at`.
    pub fields: Fields,
}

/// What a job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Its next attempt, after this time.
    Retry(Duration),
    /// Its next attempt, after this time, for a fault that is not its own.
    Release(Duration),
    /// The time that its producer set. A job that is already due is not moved.
    Due {
        /// The delay after the enqueue.
        delay: Duration,
        /// The earliest time, Unix milliseconds; 0 for none.
        not_before: u64,
    },
    /// Its flow, which admits jobs in the order in which they were enqueued.
    Admitted {
        /// The flow.
        flow: FlowId,
        /// The time until the flow's next check at the latest.
        within: Duration,
    },
}

/// Why a job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Its producer set a time.
    Delay,
    /// The retry policy pauses before the next attempt.
    Backoff,
    /// The destination requested it with `Retry-After`.
    RetryAfter,
    /// The outbound proxy fails.
    Proxy,
    /// The worker shuts down and hands it back.
    Shutdown,
    /// The breaker of its flow is open, or another job is its trial.
    Breaker,
    /// Its flow has reached its rate limit.
    Rate,
    /// Its flow has reached its concurrency limit.
    Concurrency,
    /// This worker already makes as many attempts of its flow as the destination can take.
    Window,
    /// Older jobs of its flow are held.
    Order,
    /// Redis refuses the call that checks its flow's limits.
    Redis,
}

impl WaitReason {
    /// The text of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Backoff => "backoff",
            Self::RetryAfter => "retry_after",
            Self::Proxy => "proxy",
            Self::Shutdown => "shutdown",
            Self::Breaker => "breaker",
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Window => "window",
            Self::Order => "order",
            Self::Redis => "redis",
        }
    }
}

/// The result of scheduling or holding a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It waits for this time from now, milliseconds.
    Waits(u64),
    /// It is already due, and still in flight at this worker.
    Due,
    /// It was not moved: the lease is lost, or an earlier call settled it.
    Settled(Settled),
}

/// A job to dead-letter.
#[derive(Clone, Debug)]
pub struct NewDeadLetter {
    /// The job id.
    pub job_id: Bytes,
    /// Why it is dead.
    pub reason: Reason,
    /// The reason in one sentence.
    pub error: String,
    /// Its fields, with `_reason` and `_error`.
    pub fields: Fields,
    /// The result, if the job keeps one: job id, how long it is kept, and its text.
    pub result: Option<(Bytes, Duration, String)>,
}

impl Queue {
    /// Removes succeeded jobs: at most 256, in ascending order of their entries.
    ///
    /// # Errors
    /// fred's. Then none, some or all of them may be settled.
    pub async fn complete(&self, leases: &[Lease], parent: &Context) -> Result<Vec<Settled>, Error> {
        let mut settled = Vec::with_capacity(leases.len());
        // Nearly all jobs are on their first delivery, which needs one call.
        for same in leases.chunk_by(|one, next| one.delivery == next.delivery) {
            let mut args = self.identity();
            args.extend([number(IN_FLIGHT_MAX), number(same[0].delivery)]);
            args.extend(ids(same));
            let keys = vec![self.0.keys.jobs.clone()];
            let reply = self.0.scripts.complete.call(&self.0.redis, parent, keys, args).await?;
            settled.extend(Settled::parse(&reply)?);
        }
        Ok(settled)
    }

    /// Removes one succeeded job and stores its result under its job id.
    ///
    /// # Errors
    /// fred's.
    pub async fn complete_with_result(
        &self,
        lease: Lease,
        job_id: &[u8],
        ttl: Duration,
        result: &str,
        parent: &Context,
    ) -> Result<Settled, Error> {
        let keys = vec![self.0.keys.jobs.clone(), self.0.keys.result(job_id)];
        let mut args = self.lease(lease);
        args.push(number(ttl.as_millis() as u64));
        args.push(result.into());
        Settled::parse_one(
            &self.0.scripts.complete_with_result.call(&self.0.redis, parent, keys, args).await?,
        )
    }

    /// Moves a job to the schedule, or to the set of its flow.
    ///
    /// # Errors
    /// fred's.
    pub async fn postpone(
        &self,
        lease: Lease,
        postponement: &Postponement,
        parent: &Context,
    ) -> Result<Written, Error> {
        let own = &self.0.keys;
        let (set, mode, delay, not_before) = match &postponement.until {
            Until::Retry(delay) | Until::Release(delay) => (own.scheduled.clone(), "retry", *delay, 0),
            Until::Due { delay, not_before } => (own.scheduled.clone(), "delay", *delay, *not_before),
            Until::Admitted { flow, within } => (own.flow(*flow), "flow", *within, 0),
        };
        let flows = if mode == "flow" { own.flows.clone() } else { set.clone() };
        let keys = vec![own.jobs.clone(), own.waiting.clone(), set, flows];
        let mut args = self.lease(lease);
        args.push(postponement.job_id.clone().into());
        args.push(mode.into());
        args.push(number(delay.as_millis() as u64));
        args.push(number(not_before));
        args.push(number(postponement.at.unwrap_or(0)));
        push_fields(&mut args, &postponement.fields);
        // When it returns, its producer's delay is over: it waited for that now, or had passed it before.
        if has_delay(&postponement.fields) {
            args.extend(["_waited".into(), "1".into()]);
        }
        let reply = self.0.scripts.postpone.call(&self.0.redis, parent, keys, args).await?;
        let (letter, due, now): (String, u64, u64) = reply.convert()?;
        self.0.clock.set(now);
        match letter.as_str() {
            "o" => Ok(Written::Waits(due.saturating_sub(now))),
            "d" => Ok(Written::Due),
            "l" => Ok(Written::Settled(Settled::Lost)),
            "g" => Ok(Written::Settled(Settled::Gone)),
            _ => Err(unexpected()),
        }
    }

    /// Hands a job back to the end of the stream.
    ///
    /// # Errors
    /// fred's.
    pub async fn release(&self, lease: Lease, fields: &Fields, parent: &Context) -> Result<Settled, Error> {
        let mut args = self.lease(lease);
        push_fields(&mut args, fields);
        let keys = vec![self.0.keys.jobs.clone()];
        Settled::parse_one(&self.0.scripts.release.call(&self.0.redis, parent, keys, args).await?)
    }

    /// Dead-letters a job.
    ///
    /// # Errors
    /// fred's.
    pub async fn dead_letter(
        &self,
        lease: Lease,
        letter: &NewDeadLetter,
        parent: &Context,
    ) -> Result<Settled, Error> {
        let own = &self.0.keys;
        let mut keys = vec![own.jobs.clone(), own.dead.clone()];
        let mut args = self.lease(lease);
        args.push(number(DEAD_LETTERS_MAX));
        args.push(number(DEAD_AGE_MAX.as_millis() as u64));
        match &letter.result {
            Some((job_id, ttl, result)) => {
                keys.push(own.result(job_id));
                args.push(number(ttl.as_millis() as u64));
                args.push(result.as_str().into());
            }
            None => {
                keys.push(own.dead.clone());
                args.extend([number(0), "".into()]);
            }
        }
        push_fields(&mut args, &letter.fields);
        Settled::parse_one(&self.0.scripts.dead_letter.call(&self.0.redis, parent, keys, args).await?)
    }

    /// Group, consumer, entry and delivery: the first arguments of a settlement of one job.
    fn lease(&self, lease: Lease) -> Vec<Value> {
        let mut args = self.identity();
        args.push(lease.entry.to_string().into());
        args.push(number(lease.delivery));
        args
    }
}
