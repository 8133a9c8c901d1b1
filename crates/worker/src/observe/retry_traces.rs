//! How the traces of further attempts are connected.

use std::str::FromStr;

/// How the trace of a further attempt is connected to earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retries {
    /// All attempts are in one trace, as children of the producer's span.
    #[default]
    Parent,
    /// Each further attempt is a new trace with links to the producer's span and to the previous attempt. It
    /// is recorded if the producer's trace is.
    Link,
    /// Each further attempt is a new trace without links.
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
