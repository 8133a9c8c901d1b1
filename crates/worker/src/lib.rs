//! The core of the worker: jobs from Redis, delivered over HTTP.
//!
//! Its modules, from the ground up, each importing only from those above it in this list:
//!
//! 1. `policy`: what becomes of a job after an attempt.
//! 2. `http`: egress policy, secrets, and the sender.
//! 3. `flows`: how many attempts of each flow are made.
//! 4. `observe`: spans, counts and gauges.
//! 5. `delivery`: one delivery, from the entry to what is written of it.
//! 6. `shard`: what the loops of one shard of a queue share.
//! 7. `loops`: they take jobs, keep their leases, settle them, and look after those that wait.
//! 8. `engine`: starts the loops and ends them in order.
//! 9. `process`: what there is once for each process.

mod delivery;
mod engine;
mod flows;
mod http;
mod loops;
mod observe;
mod policy;
mod process;
mod shard;

pub use engine::{RunError, WeightedQueue, WorkerConfig, run};
pub use process::{listen, shutdown};

/// What a worker can be configured with.
pub mod settings {
    pub use crate::http::egress::{BadRule, Egress, Rule};
    pub use crate::http::secrets::{BadIdentity, BadKey, Identity, Secret, Secrets, SigningKey, sensitive};
    pub use crate::http::sender::{
        BadExempt, BadProxy, HttpConfig, KeptResults, Proxy, SenderConfig, TlsError, TlsVersion, exempt,
    };
    pub use crate::loops::reader::Order;
    pub use crate::observe::retries::Retries;
    pub use crate::policy::{BadStatuses, Meaning, Overrides, RetryPolicies, RetryPolicy, Statuses, Waits};
}

/// For fuzz targets, property tests and benches: unstable.
#[doc(hidden)]
pub mod internals {
    pub use crate::http::egress::{Egress, Rule};
    pub use crate::policy::{Answer, Circumstances, Ending, Outcome, RetryPolicy, retry_after};
    pub use crate::shard::hand::Hand;
}
