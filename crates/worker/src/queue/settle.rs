//! Settling: what became of jobs, each in one script that refuses a lost lease.

use std::time::Duration;

use bytes::Bytes;
use fred::types::Value;
use telemetry::Context;

use super::reply::{Settled, unexpected};
use super::take::{MOST_HELD, ids, number};
use super::{Error, Queue};
use crate::entry::{Fields, Lease};
use crate::flows::FlowId;
use crate::reason::Reason;

/// About how many dead letters are kept.
pub(super) const MOST_DEAD: u64 = 100_000;
/// About how long dead letters are kept: 30 days.
pub(super) const LONGEST_DEAD: Duration = Duration::from_secs(30 * 24 * 3600);

/// A job on its way to where it waits.
#[derive(Clone, Debug)]
pub struct Parking {
    /// What names the job.
    pub ticket: Bytes,
    /// For what it waits.
    pub until: Until,
    /// Why.
    pub why: WaitReason,
    /// When it was enqueued, Unix milliseconds, where that is known.
    pub at: Option<u64>,
    /// Its fields, without `_ticket` and `_at`.
    pub fields: Fields,
}

/// For what a job waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// For its next attempt: so long from now.
    Retry(Duration),
    /// The same, for a fault that is not its own.
    Release(Duration),
    /// For the time that its producer named; a job that is due already is not moved.
    Due {
        /// So long after it was enqueued,
        delay: Duration,
        /// and not before this, Unix milliseconds; 0 for any time.
        not_before: u64,
    },
    /// For its flow to admit it, in the order in which jobs were enqueued.
    Admitted {
        /// Which.
        flow: FlowId,
        /// After how long it is looked after at the latest.
        within: Duration,
    },
}

/// Why a job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Its producer has named a time.
    Delay,
    /// The retry policy has a pause before the next attempt.
    Backoff,
    /// The destination has asked for it.
    RetryAfter,
    /// The outbound proxy fails.
    Proxy,
    /// The worker ends, and hands it back.
    Shutdown,
    /// The breaker of its flow is open, or tries with another job.
    Breaker,
    /// Its flow has a rate.
    Rate,
    /// Its flow has a limit of concurrency.
    Concurrency,
    /// As many attempts of its flow are under way as the destination takes from this worker.
    Window,
    /// Others of its flow have waited longer.
    Order,
    /// Redis refuses to say whether there is room in its flow.
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

/// What a settlement came to, of a job that may have gone to the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It waits, for so many milliseconds from now.
    Waits(u64),
    /// It is due already, and this worker still holds it.
    Due,
    /// It is settled otherwise, or it could not be.
    Settled(Settled),
}

/// A job on its way to the dead letters.
#[derive(Clone, Debug)]
pub struct Burial {
    /// What names the job.
    pub ticket: Bytes,
    /// Why it is dead.
    pub reason: Reason,
    /// The same in one sentence.
    pub error: String,
    /// Its fields, with `_reason` and `_error`.
    pub fields: Fields,
    /// The result for whoever waits for it: its ticket, how long it is kept, and what it says.
    pub result: Option<(Bytes, Duration, String)>,
}

impl Queue {
    /// Takes out jobs that are done: at most 256, in ascending order of their entries.
    ///
    /// # Errors
    /// fred's; none, some or all of them may be settled then.
    pub async fn finish(&self, leases: &[Lease], parent: &Context) -> Result<Vec<Settled>, Error> {
        let mut settled = Vec::with_capacity(leases.len());
        // Nearly all are on their first delivery: one call.
        for same in leases.chunk_by(|one, next| one.delivery == next.delivery) {
            let mut args = self.identity();
            args.extend([number(MOST_HELD), number(same[0].delivery)]);
            args.extend(ids(same));
            let keys = vec![self.0.keys.jobs.clone()];
            let reply = self.0.scripts.finish.call(&self.0.redis, parent, keys, args).await?;
            settled.extend(Settled::parse(&reply)?);
        }
        Ok(settled)
    }

    /// Takes out one job that is done and leaves its result under its ticket.
    ///
    /// # Errors
    /// fred's.
    pub async fn conclude(
        &self,
        lease: Lease,
        ticket: &[u8],
        ttl: Duration,
        result: &str,
        parent: &Context,
    ) -> Result<Settled, Error> {
        let keys = vec![self.0.keys.jobs.clone(), self.0.keys.result(ticket)];
        let mut args = self.lease(lease);
        args.push(number(ttl.as_millis() as u64));
        args.push(result.into());
        Settled::parse_one(&self.0.scripts.conclude.call(&self.0.redis, parent, keys, args).await?)
    }

    /// Moves a job to the schedule, or to the set of its flow.
    ///
    /// # Errors
    /// fred's.
    pub async fn park(&self, lease: Lease, parking: &Parking, parent: &Context) -> Result<Written, Error> {
        let own = &self.0.keys;
        let (set, mode, delay, not_before) = match &parking.until {
            Until::Retry(delay) | Until::Release(delay) => (own.scheduled.clone(), "retry", *delay, 0),
            Until::Due { delay, not_before } => (own.scheduled.clone(), "delay", *delay, *not_before),
            Until::Admitted { flow, within } => (own.flow(*flow), "flow", *within, 0),
        };
        let flows = if mode == "flow" { own.flows.clone() } else { set.clone() };
        let keys = vec![own.jobs.clone(), own.waiting.clone(), set, flows];
        let mut args = self.lease(lease);
        args.push(parking.ticket.clone().into());
        args.push(mode.into());
        args.push(number(delay.as_millis() as u64));
        args.push(number(not_before));
        args.push(number(parking.at.unwrap_or(0)));
        push_fields(&mut args, &parking.fields);
        let reply = self.0.scripts.park.call(&self.0.redis, parent, keys, args).await?;
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

    /// Moves a job to the dead letters.
    ///
    /// # Errors
    /// fred's.
    pub async fn bury(&self, lease: Lease, burial: &Burial, parent: &Context) -> Result<Settled, Error> {
        let own = &self.0.keys;
        let mut keys = vec![own.jobs.clone(), own.dead.clone()];
        let mut args = self.lease(lease);
        args.push(number(MOST_DEAD));
        args.push(number(LONGEST_DEAD.as_millis() as u64));
        match &burial.result {
            Some((ticket, ttl, result)) => {
                keys.push(own.result(ticket));
                args.push(number(ttl.as_millis() as u64));
                args.push(result.as_str().into());
            }
            None => {
                keys.push(own.dead.clone());
                args.extend([number(0), "".into()]);
            }
        }
        push_fields(&mut args, &burial.fields);
        Settled::parse_one(&self.0.scripts.bury.call(&self.0.redis, parent, keys, args).await?)
    }

    /// Group, consumer, entry and delivery: what a settlement of one job begins with.
    fn lease(&self, lease: Lease) -> Vec<Value> {
        let mut args = self.identity();
        args.push(lease.entry.to_string().into());
        args.push(number(lease.delivery));
        args
    }
}

pub(super) fn push_fields(args: &mut Vec<Value>, fields: &Fields) {
    args.reserve(2 * fields.len());
    for (name, value) in fields {
        args.push(name.clone().into());
        args.push(value.clone().into());
    }
}
