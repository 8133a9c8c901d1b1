//! What is written with a job and about it: its history, its result, the fields of a job that waits, its trace.

pub mod fields;
pub mod history;
mod result;

pub use fields::Alone;
pub use result::{JobResult, Kept};
