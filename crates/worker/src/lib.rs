//! The core of the worker: jobs from Redis, delivered over HTTP.
//!
//! 1. A [`reader`] takes jobs while a slot is free ([`slots`]), and they are in [`hand`] from then on: [`leases`] keep
//!    them there. The [`reclaimer`] takes what a dead worker held.
//! 2. The [`attempt`] decodes a job, has it pass its flow ([`flows`]), waits for its lease to be sure, and has the
//!    [`sender`] send it, where the [`egress`] policy allows.
//! 3. The answer is judged: [`outcome`], with the [`retry`] policy.
//! 4. It is settled: done by the [`settler`], in groups; else moved to the schedule or to the dead letters
//!    ([`settlement`], with the [`record`] of what it has been through).
//! 5. The [`scheduler`] moves what waited back to the stream when its time comes, or its flow has room.
//!
//! What the loops of one queue share is a [`lane`]; [`worker`] starts the lanes and ends them in order.

pub mod attempt;
pub mod counts;
pub mod egress;
pub mod flows;
pub mod gauges;
pub mod hand;
pub mod lane;
pub mod lanes;
pub mod leases;
pub mod listen;
pub mod mender;
pub mod outcome;
pub mod reader;
pub mod reclaimer;
pub mod record;
pub mod reporter;
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
pub mod worker;
