//! One per process: the server for probes and metrics, and the signals that end the process.

pub mod listen;
pub mod shutdown;
pub(crate) mod status;
