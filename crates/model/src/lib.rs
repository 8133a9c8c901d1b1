//! A model of the protocol: the scripts of `crates/queue`, unchanged, on a small Redis that is a value. It is compared
//! with real servers.

mod calls;
mod differential;
mod lua;
mod redis;

pub use differential::compare;
