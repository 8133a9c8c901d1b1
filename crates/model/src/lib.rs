//! A model of the protocol: the scripts of `crates/queue`, unchanged, on a small Redis that is a value. Every interleaving of
//! workers, producers, operators and faults is checked up to a depth, and the small Redis is compared with real servers.

mod calls;
mod differential;
mod faults;
mod faulty;
mod keys;
mod limits;
mod lines;
mod lua;
mod mutations;
mod notices;
mod redis;
mod replay;
mod report;
mod scripts;
mod search;
mod small;
mod story;
mod ticks;
mod world;

pub use differential::compare;
pub use replay::replay;
pub use report::{explore, explore_shortly, mutate};
