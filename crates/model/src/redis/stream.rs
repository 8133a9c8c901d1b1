//! Streams, with consumer groups and pending entries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::Bytes;

/// The id of an entry: milliseconds and a sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) u64, pub(crate) u64);

impl Id {
    pub(crate) const MAX: Id = Id(u64::MAX, u64::MAX);

    /// The next greater id; `None` after the greatest.
    pub(crate) fn next(self) -> Option<Id> {
        match self.1.checked_add(1) {
            Some(sequence) => Some(Id(self.0, sequence)),
            None => self.0.checked_add(1).map(|millis| Id(millis, 0)),
        }
    }

    fn previous(self) -> Option<Id> {
        match self.1.checked_sub(1) {
            Some(sequence) => Some(Id(self.0, sequence)),
            None => self.0.checked_sub(1).map(|millis| Id(millis, u64::MAX)),
        }
    }

    /// `MILLIS-SEQUENCE`, or `MILLIS` with a default sequence number.
    pub(crate) fn parse(text: &[u8], sequence: u64) -> Option<Id> {
        let text = std::str::from_utf8(text).ok()?;
        match text.split_once('-') {
            Some((millis, sequence)) => Some(Id(millis.parse().ok()?, sequence.parse().ok()?)),
            None => Some(Id(text.parse().ok()?, sequence)),
        }
    }

    /// The lower end of a range: `-`, an id, or `(` and an id.
    pub(crate) fn start(text: &[u8]) -> Result<Id, String> {
        let wrong = || "ERR Invalid stream ID specified as stream command argument".to_owned();
        match text {
            b"-" => Ok(Id::default()),
            b"+" => Ok(Id::MAX),
            [b'(', id @ ..] => {
                let id = Id::parse(id, 0).ok_or_else(wrong)?;
                id.next().ok_or_else(|| "ERR invalid start ID for the interval".to_owned())
            }
            id => Id::parse(id, 0).ok_or_else(wrong),
        }
    }

    /// The upper end of a range.
    pub(crate) fn end(text: &[u8]) -> Result<Id, String> {
        let wrong = || "ERR Invalid stream ID specified as stream command argument".to_owned();
        match text {
            b"-" => Ok(Id::default()),
            b"+" => Ok(Id::MAX),
            [b'(', id @ ..] => {
                let id = Id::parse(id, u64::MAX).ok_or_else(wrong)?;
                id.previous().ok_or_else(|| "ERR invalid end ID for the interval".to_owned())
            }
            id => Id::parse(id, u64::MAX).ok_or_else(wrong),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// Names and values, alternating.
pub(crate) type EntryFields = Arc<[Bytes]>;

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stream {
    pub(crate) entries: BTreeMap<Id, EntryFields>,
    pub(crate) last: Id,
    pub(crate) groups: BTreeMap<Bytes, Group>,
}

/// A consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    pub(crate) delivered: Id,
    pub(crate) pending: BTreeMap<Id, Pending>,
    pub(crate) consumers: BTreeSet<Bytes>,
}

/// An entry that was delivered to a consumer and is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    pub(crate) consumer: Bytes,
    /// Unix milliseconds.
    pub(crate) delivered_at: u64,
    pub(crate) count: u64,
}

impl Stream {
    /// The entries of a range, in ascending order.
    pub(crate) fn range(&self, from: Id, to: Id) -> impl DoubleEndedIterator<Item = (&Id, &EntryFields)> {
        let is_empty = from > to;
        self.entries.range(if is_empty { Id::MAX..=Id::MAX } else { from..=to }).filter(move |_| !is_empty)
    }
}
