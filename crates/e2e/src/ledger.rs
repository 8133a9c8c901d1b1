//! The ledger: numbered jobs from a producer to a destination, while what is between them dies by a plan; and at
//! the end the account of each of them.
//!
//! The plan is made from a seed, so a run can be repeated, though not to the microsecond: processes are scheduled
//! by the machine. Each worker has a proxy of its own before Redis, so that a fault of its connection is its own.

mod account;
mod crew;
mod destination;
mod faults;
mod job;
mod peer;
mod plan;
mod producer;
mod scene;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use account::Ledger;
pub use faults::Window;

/// How long a lease of these workers is.
const LEASE: Duration = Duration::from_secs(1);

/// Where jobs are: the hash tags of shards, of the queues that the workers read.
pub type Homes = &'static [&'static str];

/// One queue of one shard.
pub const ONE_QUEUE: Homes = &["default"];
/// Two queues, of which one has shards.
pub const SEVERAL_QUEUES: Homes = &["default", "bulk", "bulk/1", "bulk/2"];

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// From which the plan is made.
    pub seed: u64,
    /// How long jobs come and things die.
    pub time: Duration,
    /// How many jobs a second.
    pub rate: u32,
    /// How many workers.
    pub workers: usize,
    /// Where the jobs go, one after the other.
    pub homes: Homes,
}

impl Options {
    /// `LEDGER_SEED` and `LEDGER_SECONDS`, or a seed of the clock and `seconds`.
    ///
    /// # Panics
    ///
    /// When one of them is no number.
    pub fn from_env(seconds: u64, homes: Homes) -> Options {
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
        }
    }
}

/// Plays the plan, lets the queue drain and closes the books.
///
/// # Panics
///
/// When the harness itself fails, and when a worker ends that should not.
pub fn run(options: &Options) -> Ledger {
    println!(
        "ledger: LEDGER_SEED={} LEDGER_SECONDS={} ({} workers, {} jobs a second)",
        options.seed,
        options.time.as_secs(),
        options.workers,
        options.rate,
    );
    let plan = plan::plan(options);
    scene::play(options, &plan)
}
