//! What a flow may do, as the configuration says.

use std::collections::HashMap;
use std::time::Duration;

use super::flow::FlowId;

/// The limits of one flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// How many attempts may be made at once, over all workers. Default: no limit but each worker's own.
    pub concurrency: Option<u32>,
    /// How many attempts may be begun, over all workers. Default: no limit.
    pub rate: Option<Rate>,
    /// When attempts are stopped, over all workers, since the destination does not answer.
    pub breaker: Breaker,
}

/// A bucket of tokens: each attempt takes one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens that come in a second.
    pub per_second: f64,
    /// How many there are at most, and at first. Default: what comes in a second, at least 1.
    pub burst: u32,
}

/// A circuit breaker. It opens after some attempts in a row that had no answer, or one of 502, 503 or 504; then
/// nothing is sent for a pause, then one trial, whose answer closes it. Each pause in a row is twice as long as
/// the one before, give or take a quarter, so that not all flows wake at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// How many in a row, by the count of one worker. 0 turns it off. Default: 5.
    pub failures: u32,
    /// The first pause. Default: 5 s.
    pub pause: Duration,
    /// The longest pause. Default: 1 min.
    pub longest: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_secs(5), longest: Duration::from_secs(60) }
    }
}

impl Limits {
    /// Whether an attempt must be asked for in Redis.
    pub fn are_shared(&self) -> bool {
        self.concurrency.is_some() || self.rate.is_some()
    }
}

/// The limits of all flows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowLimits {
    /// Of a flow that has none of its own.
    pub default: Limits,
    /// Of these.
    pub named: HashMap<FlowId, Limits>,
}

impl FlowLimits {
    /// The limits of a flow.
    pub fn get(&self, id: FlowId) -> &Limits {
        self.named.get(&id).unwrap_or(&self.default)
    }
}
