//! What there is once for each process: the server for probes and metrics, and the signals that end it.

pub mod listen;
pub mod shutdown;
pub mod status;
