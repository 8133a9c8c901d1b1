//! The transitions of a job in Redis, each one script, with their arguments. Unstable: for our own crates
//! only.

mod flow;
mod report;
mod settle;
mod take;

pub use crate::redis::{
    Clock, Consumer, Link, Operation, Operations, Queue, Receives, Settled, Shards, Spans, is_answer,
    is_refusal,
};
pub use crate::trail::{Alone, Kept, fields, history};
pub use flow::{Admission, Asking, Mended, Taken, Told, Why};
pub use report::Report;
pub use settle::{Burial, Parking, Until, WaitReason, Written};
pub use take::{Promoted, Reclaimed};

pub(crate) use settle::{LONGEST_DEAD, MOST_DEAD};
