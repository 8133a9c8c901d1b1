//! Which Redis calls become spans.

use std::str::FromStr;

/// Which reads that fetched jobs become spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receives {
    /// Those that fetched at least one job whose producer's span is recorded. The read links to that span.
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

/// Which Redis calls of a connection become spans. Metrics count all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Reads.
    pub receives: Receives,
    /// Each Redis command, as a child of its operation's span. Default: no.
    pub commands: bool,
}
