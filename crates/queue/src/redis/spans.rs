//! Which of the work with Redis becomes spans.

use std::str::FromStr;

/// Which reads that brought jobs become spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receives {
    /// Those of which at least one job has a producer's span that is recorded: the read is linked to it.
    #[default]
    Sampled,
    /// All of them.
    Always,
}

impl FromStr for Receives {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sampled" => Ok(Self::Sampled),
            "always" => Ok(Self::Always),
            _ => Err("write sampled or always".to_owned()),
        }
    }
}

/// What a connection to Redis makes spans of. Everything is measured in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Reads.
    pub receives: Receives,
    /// Each Redis command, below the operation that it is a part of. Default: no.
    pub commands: bool,
}
