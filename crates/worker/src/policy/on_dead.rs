//! What a dead letter does to the later jobs of its order key. Pure.

use std::collections::HashSet;
use std::str::FromStr;

/// What a dead letter does to the later jobs of its order key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDead {
    /// Nothing: the next one has its turn.
    #[default]
    Skip,
    /// It stops them, until it is replayed or purged, or an operator resumes the key.
    Stop,
}

impl FromStr for OnDead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "skip" => Ok(Self::Skip),
            "stop" => Ok(Self::Stop),
            _ => Err("write \"skip\" or \"stop\""),
        }
    }
}

/// The queues in which a dead letter stops the later jobs of its order key.
#[derive(Debug, Default)]
pub(crate) struct StoppingQueues(HashSet<String>);

impl StoppingQueues {
    /// Of these queues.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether a queue is one of them.
    pub(crate) fn stops(&self, queue: &str) -> bool {
        self.0.contains(queue)
    }
}
