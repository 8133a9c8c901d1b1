//! How much of a command a span shows.

/// What `db.query.text` holds. At most 1,000 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryText {
    /// There is none.
    #[default]
    Off,
    /// The command with `?` for each argument, keys too.
    Sanitized,
    /// The command with its keys, and `?` for every other argument. Keys may hold what is personal.
    Keys,
}
