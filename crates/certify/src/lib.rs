//! The certificate: a producer sends numbered jobs to a destination, by way of any Redis, while a plan kills the workers and
//! breaks their connections. At the end, every job is accounted for.
//!
//! A seed decides the plan, so a run can be repeated, though not to the microsecond: the machine schedules the processes.
//! Each worker has its own proxy before Redis, so that a connection fault affects only this worker. A run touches only its
//! own keys, and removes them at its end.
//!
//! Its modules, each of which imports only from those before it: dice, options, places, error → job, faults, plan → peer,
//! proxy, hanging, ticks → destination, workers, producer, letters, watch → server → report → account, order → run.

mod account;
mod destination;
mod dice;
mod error;
mod execute;
mod faults;
mod hanging;
mod job;
mod letters;
mod options;
mod order;
mod peer;
mod places;
mod plan;
mod producer;
mod proxy;
mod report;
mod run;
mod server;
mod ticks;
mod watch;
mod workers;

pub use error::CertifyError;
pub use execute::execute;
pub use faults::Window;
pub use options::Options;
pub use report::{Account, Incident, Latency, Machine, Moment, Report, ServerFacts};
pub use run::{Progress, run};
pub use server::clean;
