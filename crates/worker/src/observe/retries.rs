//! How the traces of further attempts are connected.

use std::str::FromStr;

/// How the trace of a further attempt belongs to what was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retries {
    /// All attempts of a delivery are one trace, children of the producer's span.
    #[default]
    Parent,
    /// Each is a trace of its own, recorded where the producer's is, with links to it and to the attempt before.
    Link,
    /// Each is a trace of its own, and tells of no other.
    None,
}

impl FromStr for Retries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "parent" => Ok(Self::Parent),
            "link" => Ok(Self::Link),
            "none" => Ok(Self::None),
            _ => Err("write parent, link or none".to_owned()),
        }
    }
}
