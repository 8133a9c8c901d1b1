//! What a run has found, as plain data.

mod facts;
mod html;
mod text;
mod timeline;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::faults::Window;
use super::options::Options;

pub use facts::{Machine, ServerFacts};
pub use timeline::{Incident, Moment};

pub(crate) use timeline::Timeline;

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every promise was kept.
    pub certified: bool,
    /// The version of this program.
    pub version: &'static str,
    /// When the run began, RFC 3339.
    pub began_at: String,
    /// How long it took, with the time until the queues were empty, s.
    pub seconds: f64,
    /// What decides its plan.
    pub plan: Options,
    /// The server.
    pub server: ServerFacts,
    /// The machine of workers, destination and producer.
    pub machine: Machine,
    /// The account of all jobs.
    pub account: Account,
    /// How often each fault was caused.
    pub faults: BTreeMap<String, u64>,
    /// How many workers were killed at which point.
    pub kills: BTreeMap<String, u64>,
    /// What was planned and could not be done, each with its reason.
    pub skipped: Vec<String>,
    /// The run in parts of equal length.
    pub timeline: Vec<Moment>,
    /// Faults of Redis and of the machine.
    pub incidents: Vec<Incident>,
    /// Broken promises; empty if every promise was kept. At most 100 are listed.
    pub problems: Vec<String>,
    /// Some of the duplicates and of the jobs that were dead-lettered as poison.
    pub examples: Vec<String>,
}

/// The account of all jobs.
#[derive(Debug, Default, Serialize)]
pub struct Account {
    /// Jobs that the producer sent.
    pub enqueued: u64,
    /// Sent jobs that Redis acknowledged.
    pub acknowledged: u64,
    /// Jobs that were acknowledged a second time under their idempotency key.
    pub repeated: u64,
    /// Jobs that received a successful response.
    pub delivered: u64,
    /// Jobs among the dead letters, by reason.
    pub dead: BTreeMap<String, u64>,
    /// Acknowledged jobs, callbacks and ticks that were neither delivered nor are dead letters.
    pub lost: u64,
    /// Jobs that Redis acknowledged and lost in a failover, before it had copied them to the server that took its place. They are
    /// no broken promise, and not among the lost ones.
    pub lost_in_failover: u64,
    /// Jobs whose producer got no acknowledgement, and which were delivered or are dead letters nevertheless.
    pub unacknowledged_done: u64,
    /// Callbacks that received a successful response.
    pub callbacks: u64,
    /// Ticks of periodic jobs.
    pub ticks: u64,
    /// Requests, including those without a response.
    pub requests: u64,
    /// Requests by which a worker continued the job of another one.
    pub taken_over: u64,
    /// Second and further successes of a job, by the fault that explains them.
    pub duplicates: BTreeMap<Window, u64>,
    /// Second and further successes that nothing explains.
    pub unexplained: u64,
    /// Repeated requests after one for a later job of their order key, which a fault explains.
    pub late: u64,
    /// From enqueue to request of healthy jobs: those that succeed at once, and wait for no time and no turn.
    pub latency: Option<Latency>,
    /// The same for the jobs of each half minute.
    pub latencies: Vec<Latency>,
}

/// Times from enqueue to request, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// The median.
    pub p50_ms: u64,
    /// The 99th percentile.
    pub p99_ms: u64,
}

impl Latency {
    /// Of some times; `None` if there are none.
    pub(crate) fn of(times: &mut [Duration]) -> Option<Self> {
        times.sort_unstable();
        let percentile =
            |percent: usize| times.get(times.len() * percent / 100).map(|time| time.as_millis() as u64);
        Some(Self { p50_ms: percentile(50)?, p99_ms: percentile(99)? })
    }
}

impl Account {
    /// All jobs among the dead letters.
    pub fn all_dead(&self) -> u64 {
        self.dead.values().sum()
    }

    /// All duplicates that a fault explains.
    pub fn explained(&self) -> u64 {
        self.duplicates.values().sum()
    }
}

impl Report {
    /// What the run has shown, in a sentence.
    fn conclusion(&self) -> String {
        let of_redis = match self.account.lost_in_failover {
            0 => String::new(),
            jobs => format!(", Redis lost {jobs} of its acknowledged jobs in a failover"),
        };
        match self.certified {
            true => format!("Postrider lost no job{of_redis}, and every duplicate has its reason"),
            false => format!("a promise was broken{of_redis}"),
        }
    }

    /// How many workers were killed.
    pub fn all_kills(&self) -> u64 {
        self.kills.values().sum()
    }
}
