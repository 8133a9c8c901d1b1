//! Why a job was dead-lettered.

use std::fmt;

/// The closed list of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The entry is not a valid job.
    Malformed,
    /// The entry's format is newer than this worker knows.
    Version,
    /// The egress policy forbids the destination.
    Refused,
    /// The response has a status that a further attempt would not change.
    FinalStatus,
    /// The attempts are used up.
    Attempts,
    /// It expired before it could be sent.
    Expired,
    /// It was delivered again and again and never settled.
    Poison,
    /// It was cancelled by hand.
    Cancelled,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Malformed,
        Self::Version,
        Self::Refused,
        Self::FinalStatus,
        Self::Attempts,
        Self::Expired,
        Self::Poison,
        Self::Cancelled,
    ];

    /// The text of the field `_reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Refused => "refused",
            Self::FinalStatus => "final_status",
            Self::Attempts => "attempts",
            Self::Expired => "expired",
            Self::Poison => "poison",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
