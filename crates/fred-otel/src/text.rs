//! The part of a command that a span shows.

/// The content of `db.query.text`. At most 1,000 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryText {
    /// There is none.
    #[default]
    Off,
    /// The command with `?` for each argument, keys too.
    Sanitized,
    /// The command with its keys, and `?` for every other argument. Keys may contain personal data.
    Keys,
}
