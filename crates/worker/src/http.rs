//! One HTTP request: the egress policy, secrets, and the sender.

pub(crate) mod egress;
pub(crate) mod secrets;
pub(crate) mod sender;
