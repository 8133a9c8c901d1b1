//! Why a run does not take place, or does not end.

use postrider_queue::{ConnectError, Error};

/// A run could not take place, or was stopped.
#[derive(Debug, thiserror::Error)]
pub enum CertifyError {
    /// Redis cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Redis failed.
    #[error("Redis failed: {}", .0.details())]
    Redis(#[from] Error),
    /// The machine refuses something.
    #[error("{0}: {1}")]
    System(&'static str, #[source] std::io::Error),
    /// The server is not one on which a run does no harm.
    #[error("{0}")]
    Refused(String),
    /// Something that a run needs cannot be made.
    #[error("the run cannot be set up: {0}")]
    Setup(String),
    /// Somebody stopped the run.
    #[error("interrupted; nothing is certified, and what the run had in Redis is removed")]
    Interrupted,
    /// What the run had in Redis is still there.
    #[error("keys of the run are still in Redis ({0}); remove them with `postrider certify --clean`")]
    NotClean(String),
}
