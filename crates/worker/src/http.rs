//! One request on its way: who may be reached, what it is signed with, how it is sent.

pub mod egress;
pub mod secrets;
pub mod sender;
