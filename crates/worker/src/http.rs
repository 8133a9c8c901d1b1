//! One HTTP request: the egress policy, secrets, and the sender.

pub mod egress;
pub mod secrets;
pub mod sender;
