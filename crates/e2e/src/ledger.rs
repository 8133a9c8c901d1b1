//! The ledger: a producer sends numbered jobs to a destination while a plan kills the parts between them. At
//! the end the ledger accounts for each job.
//!
//! A seed decides the plan, so a run can be repeated, though not to the microsecond: the machine schedules
//! the processes. Each worker has its own proxy before Redis, so that a connection fault affects only this
//! worker.

mod account;
mod destination;
mod faults;
mod hanging;
mod job;
mod order;
mod peer;
mod plan;
mod producer;
mod scenario;
mod stalls;
mod ticks;
mod workers;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use account::Ledger;
pub use faults::Window;

/// The lease of these workers.
const LEASE: Duration = Duration::from_secs(1);

/// Where the jobs are: the hash tags of the shards that the workers read.
pub type Homes = &'static [&'static str];

/// One queue of one shard.
pub const ONE_QUEUE: Homes = &["default"];
/// Two queues, one of them with further shards.
pub const SEVERAL_QUEUES: Homes = &["default", "bulk", "bulk/1", "bulk/2"];

/// The settings of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed of the plan.
    pub seed: u64,
    /// For how long jobs are enqueued and faults happen.
    pub time: Duration,
    /// Jobs enqueued per second.
    pub rate: u32,
    /// The number of workers.
    pub workers: usize,
    /// The shards that get the jobs, in turn.
    pub homes: Homes,
    /// Whether a tenth of the jobs is poisonous, and others are for hosts that hang.
    pub hostile: bool,
}

impl Options {
    /// `LEDGER_SEED` and `LEDGER_SECONDS`, or a seed from the clock and `seconds`.
    ///
    /// # Panics
    ///
    /// If one of them is not a number.
    pub fn from_env(seconds: u64, homes: Homes, hostile: bool) -> Options {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
        };
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
        Options {
            seed: number("LEDGER_SEED").unwrap_or_else(clock),
            time: Duration::from_secs(number("LEDGER_SECONDS").unwrap_or(seconds)),
            rate: 80,
            workers: 4,
            homes,
            hostile,
        }
    }
}

/// Executes the plan, waits until the queue is drained, and returns the ledger.
///
/// # Panics
///
/// If the harness itself fails, or if a worker exits unexpectedly.
pub fn run(options: &Options) -> Ledger {
    println!(
        "ledger: LEDGER_SEED={} LEDGER_SECONDS={} ({} workers, {} jobs a second)",
        options.seed,
        options.time.as_secs(),
        options.workers,
        options.rate,
    );
    let plan = plan::plan(options);
    scenario::run(options, &plan)
}
