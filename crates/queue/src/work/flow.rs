//! Flows: what all workers share of them, and the jobs that they hold back.

use std::time::Duration;

use fred::types::Value;

use crate::job::{Admitted, Breaker, FlowId, Limits};
use crate::redis::{Error, Keys, Queue, number, unexpected};

/// A trial that is not told of after so long was lost with its worker.
const TRIAL: Duration = Duration::from_secs(30);

/// What a worker asks of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// How many attempts it is making, by its count in Redis.
    pub making: usize,
    /// How many more it wants to make.
    pub more: usize,
    /// Whether it makes them itself and now; else they are counted by who does.
    pub is_made: bool,
    /// Whether tokens were taken for them before, or none are needed.
    pub is_paid: bool,
    /// Whether the breaker has let them pass before.
    pub is_past_breaker: bool,
}

/// Jobs that wait for nothing that ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// How many there are at least.
    pub astray: u64,
    /// How many of them were found, and are due now.
    pub found: u64,
    /// The flows that hold jobs back.
    pub flows: Vec<FlowId>,
}

/// What was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// So many attempts.
    pub granted: usize,
    /// After how long to ask again.
    pub wait: Duration,
    /// Why not all, or only one.
    pub why: Option<Why>,
}

/// What limits a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its breaker is open.
    Open,
    /// Its breaker allows one attempt, as a trial.
    Trial,
    /// Its rate.
    Rate,
    /// Its concurrency.
    Concurrency,
}

/// What the breaker is told to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// For so long nothing is sent; zero where it is closed.
    pub closed_for: Duration,
    /// How often in a row it has opened.
    pub times: u32,
}

/// How jobs that wait for their flow come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// How many.
    pub count: usize,
    /// What they carry.
    pub admitted: Admitted,
    /// When to look after the rest.
    pub again: Duration,
    /// Those that were enqueued before this time come back besides: they are too old. Unix milliseconds, 0 for
    /// none.
    pub older_than: u64,
}

impl Queue {
    /// Asks for attempts of a flow. What is granted and not used costs tokens, and nothing else.
    ///
    /// # Errors
    /// fred's.
    pub async fn take_flow(&self, id: FlowId, limits: &Limits, asking: Asking) -> Result<Taken, Error> {
        let rate = limits.rate.filter(|_| !asking.is_paid);
        let args: Vec<Value> = vec![
            self.0.consumer.name.as_str().into(),
            number(asking.making as u64),
            number(asking.more as u64),
            number(asking.is_made.into()),
            rate.map_or(0.0, |rate| rate.per_second).to_string().into(),
            number(limits.rate.map_or(0, |rate| rate.burst).into()),
            number(limits.concurrency.unwrap_or(0).into()),
            number(TRIAL.as_millis() as u64),
            number(asking.is_past_breaker.into()),
            number(limits.breaker.longest.as_millis() as u64),
        ];
        let keys = vec![Keys::limits(id)];
        let reply = self.0.scripts.flow_take.poll(&self.0.redis, keys, args).await?;
        let (granted, wait, why): (usize, u64, String) = reply.convert()?;
        let why = match why.as_str() {
            "-" => None,
            "o" => Some(Why::Open),
            "t" => Some(Why::Trial),
            "r" => Some(Why::Rate),
            "c" => Some(Why::Concurrency),
            _ => return Err(unexpected()),
        };
        Ok(Taken { granted, wait: Duration::from_millis(wait.max(10)), why })
    }

    /// Tells the breaker of a flow that it works, or that it fails. `spread` is by what the pause is multiplied,
    /// at most 1.25; `name` is what the tools show.
    ///
    /// # Errors
    /// fred's.
    pub async fn tell_flow(
        &self,
        id: FlowId,
        name: &str,
        works: bool,
        breaker: Breaker,
        spread: f64,
    ) -> Result<Told, Error> {
        let args: Vec<Value> = vec![
            if works { "works" } else { "fails" }.into(),
            number(breaker.pause.as_millis() as u64),
            number(breaker.longest.as_millis() as u64),
            spread.to_string().into(),
            name.into(),
        ];
        let keys = vec![Keys::limits(id)];
        let reply = self.0.scripts.flow_tell.poll(&self.0.redis, keys, args).await?;
        let (millis, times): (u64, u32) = reply.convert()?;
        Ok(Told { closed_for: Duration::from_millis(millis), times })
    }

    /// Gives back what a flow has granted to one job that is not sent after all.
    ///
    /// # Errors
    /// fred's.
    pub async fn give_back(&self, id: FlowId, limits: &Limits, is_trial: bool) -> Result<(), Error> {
        let args = vec![number(is_trial.into()), number(limits.rate.map_or(0, |rate| rate.burst).into())];
        self.0.scripts.flow_back.poll(&self.0.redis, vec![Keys::limits(id)], args).await.map(drop)
    }

    /// Moves jobs that a flow holds back to the stream, those first that have waited longest. Answers how many
    /// were moved and how many are left.
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

    /// Looks at some of the jobs that wait, where the caller knows all flows that hold jobs back, and makes those
    /// due that wait for nothing that ends.
    ///
    /// # Errors
    /// fred's.
    pub async fn mend(&self, known: &[FlowId]) -> Result<Mended, Error> {
        /// So that Redis is not held up.
        const LOOKED_AT: u64 = 500;
        let own = &self.0.keys;
        let mut keys = vec![own.waiting.clone(), own.scheduled.clone(), own.flows.clone()];
        keys.extend(known.iter().map(|flow| own.flow(*flow)));
        let mut args = vec![number(LOOKED_AT)];
        args.extend(known.iter().map(|flow| Value::from(flow.to_string())));
        let reply = self.0.scripts.mend.poll(&self.0.redis, keys, args).await?;
        let (astray, found, flows): (u64, u64, Vec<String>) = reply.convert()?;
        Ok(Mended { astray, found, flows: flows.iter().filter_map(|flow| FlowId::parse(flow)).collect() })
    }
}
