//! The configured limits of flows.

use std::collections::HashMap;
use std::time::Duration;

use super::flow::FlowId;

/// The limits of one flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The maximum number of attempts at once, over all workers. Default: only each worker's own limit.
    pub concurrency: Option<u32>,
    /// The rate of new attempts, over all workers. Default: no limit.
    pub rate: Option<Rate>,
    /// Stops attempts of all workers while the destination does not answer.
    pub breaker: Breaker,
    /// The longest time for which one answer 429 with `Retry-After` holds the flow.
    pub longest_hold: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let breaker = Breaker::default();
        Self { concurrency: None, rate: None, breaker, longest_hold: Duration::from_secs(15 * 60) }
    }
}

/// A token bucket: each attempt takes one token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens added in a second.
    pub per_second: f64,
    /// The size of the bucket, which starts full. Default: the tokens of a second, at least 1.
    pub burst: u32,
}

/// A circuit breaker. It opens after some attempts in a row that had no response, or 502, 503 or 504. Nothing
/// is sent for a pause, then one trial, whose response closes it. Each pause in a row is twice as long as the
/// one before, give or take a quarter, so that not all flows wake at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// Failures in a row that open it, as one worker counts. 0 turns it off. Default: 5.
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
    /// Whether an attempt needs Redis' permission.
    pub fn are_shared(&self) -> bool {
        self.concurrency.is_some() || self.rate.is_some()
    }
}

/// The limits of all flows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowLimits {
    /// The limits of a flow without its own.
    pub default: Limits,
    /// The limits of single flows.
    pub named: HashMap<FlowId, Limits>,
}

impl FlowLimits {
    /// The limits of a flow.
    pub fn get(&self, id: FlowId) -> &Limits {
        self.named.get(&id).unwrap_or(&self.default)
    }
}
