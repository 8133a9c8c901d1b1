//! The core of the worker: jobs from Redis, delivered over HTTP.
//!
//! The life of a job, and the modules in its order:
//!
//! 1. A producer puts it into the stream ([`queue`]; the wire format is [`job`]'s).
//! 2. A [`reader`] takes it while a slot is free ([`slots`]), and it is in [`hand`] from then on: [`leases`]
//!    keep it there. The [`reclaimer`] takes what a dead worker held.
//! 3. The [`attempt`] decodes it, has it pass its flow ([`flows`]), waits for its lease to be sure, and has the
//!    [`sender`] send it, where the [`egress`] policy allows.
//! 4. The answer is judged: [`outcome`], with the [`retry`] policy.
//! 5. It is settled: done by the [`settler`], in groups; else moved to the schedule or to the dead letters
//!    ([`settlement`], with the [`record`] and [`history`] of what it has been through).
//! 6. The [`scheduler`] moves what waited back to the stream when its time comes, or its flow has room.
//!
//! What the loops of one queue share is a [`lane`]; [`worker`] starts the lanes and ends them in order.

pub mod attempt;
pub mod cli;
pub mod clock;
pub mod config;
pub mod counts;
pub mod egress;
pub mod entry;
pub mod flows;
pub mod gauges;
pub mod hand;
pub mod history;
pub mod host;
pub mod job;
pub mod lane;
pub mod lanes;
pub mod leases;
mod lines;
pub mod listen;
pub mod mender;
pub mod outcome;
pub mod queue;
pub mod reader;
pub mod reason;
pub mod reclaimer;
pub mod record;
pub mod reporter;
pub mod result;
pub mod retry;
pub mod scheduler;
pub mod secrets;
pub mod sender;
pub mod settlement;
pub mod settler;
pub mod shutdown;
pub mod slots;
pub mod status;
pub mod trace;
pub mod trail;
pub mod worker;
