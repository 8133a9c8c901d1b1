//! The core of the worker: jobs from Redis, delivered over HTTP.
//!
//! Its modules, from the ground up. Each imports only from those above it in this list:
//!
//! 1. `policy`: the outcome of an attempt.
//! 2. `http`: egress policy, secrets, and the sender.
//! 3. `flows`: limits on the attempts of each flow.
//! 4. `observe`: spans, counts and gauges.
//! 5. `shard`: the state that the loops of one shard share.
//! 6. `delivery`: one delivery, from its stream entry to its settlement.
//! 7. `loops`: fetch jobs, renew their leases, settle them, and release waiting jobs.
//! 8. `engine`: starts the loops and stops them in order.
//! 9. `process`: runs the engine with what exists once for each process: the server for probes and metrics,
//!    the signals.

mod delivery;
mod engine;
mod flows;
mod http;
mod loops;
mod observe;
mod policy;
mod process;
mod shard;

pub use engine::{EngineError, WeightedQueue, WorkerConfig};
pub use process::{Probes, RunError, StatusServer, listen, run, shutdown};

/// Types of a worker's configuration.
pub mod settings {
    pub use crate::http::egress::{BadRule, Egress, Rule};
    pub use crate::http::secrets::{
        BadIdentity, BadKey, ClientAuthentication, ClientCredentials, Identity, NotFor, Secret, Secrets,
        SigningKey, sensitive,
    };
    pub use crate::http::sender::{
        BadProxy, Exempt, HttpConfig, KeptResults, Proxy, SenderConfig, TlsError, TlsVersion,
    };
    pub use crate::loops::fetcher::Order;
    pub use crate::observe::retry_traces::Retries;
    pub use crate::policy::notice::NoticeSettings;
    pub use crate::policy::{
        OnDead, Overrides, RetryPolicies, RetryPolicy, RetryWaits, StatusClass, UnknownFields,
    };
}

/// For fuzz targets, property tests and benches: unstable.
#[doc(hidden)]
pub mod internals {
    pub use crate::http::egress::{Egress, Rule};
    pub use crate::policy::{Answer, Circumstances, Outcome, RetryPolicy, SendResult, retry_after};
    pub use crate::shard::in_flight::InFlight;
}
