//! Parses Redis' replies.

use std::time::Duration;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::types::Value;

use super::mark::Mark;
use crate::job::{Delivery, EntryId, Fields, Lease};

/// The result of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The job is settled.
    Done,
    /// The job is scheduled or held, and waits for this time from now.
    Waits(Duration),
    /// The job was to wait, but is already due. It is still in flight at this worker.
    Due,
    /// The job has another delivery by now. Nothing was changed.
    Lost,
    /// The job is no longer pending: the call repeats a settlement whose reply was lost, or the lease is
    /// lost.
    Gone,
}

impl Settled {
    /// The result of a repeated call. `in_doubt` means that the reply to an earlier call was lost: if the job
    /// is gone, that call settled it.
    #[must_use]
    pub fn after(self, in_doubt: bool) -> Self {
        if in_doubt && self == Self::Gone { Self::Done } else { self }
    }

    pub(crate) fn parse(letters: &Value) -> Result<Vec<Self>, Error> {
        let letters = letters.as_str().ok_or_else(unexpected)?;
        letters
            .bytes()
            .map(|letter| match letter {
                b'o' => Ok(Self::Done),
                b'l' => Ok(Self::Lost),
                b'g' => Ok(Self::Gone),
                _ => Err(unexpected()),
            })
            .collect()
    }

    pub(crate) fn parse_one(letter: &Value) -> Result<Self, Error> {
        Self::parse(letter)?.into_iter().next().ok_or_else(unexpected)
    }
}

pub(crate) fn unexpected() -> Error {
    Error::new(ErrorKind::Protocol, "Redis sent a reply of an undocumented form")
}

/// The entries of a reply to XREADGROUP for one stream: a list of pairs, a map, or nothing.
pub(crate) fn read(reply: Value, epoch: u32, mark: &Mark) -> Result<Vec<Delivery>, Error> {
    let entries = match reply {
        Value::Null => return Ok(vec![]),
        // RESP2: [[stream, entries]]
        Value::Array(streams) => match streams.into_iter().next() {
            Some(Value::Array(mut pair)) => pair.pop(),
            _ => None,
        },
        // RESP3: {stream: entries}
        Value::Map(streams) => streams.inner().into_values().next(),
        _ => None,
    };
    let Some(Value::Array(entries)) = entries else { return Ok(vec![]) };
    entries.into_iter().filter_map(|entry| delivery(entry, epoch, mark).transpose()).collect()
}

/// One entry on its first delivery. `None` if its payload is gone.
fn delivery(entry: Value, epoch: u32, mark: &Mark) -> Result<Option<Delivery>, Error> {
    let Value::Array(entry) = entry else { return Err(unexpected()) };
    let mut parts = entry.into_iter();
    let (Some(id), Some(fields)) = (parts.next(), parts.next()) else { return Err(unexpected()) };
    if matches!(fields, Value::Null) {
        return Ok(None);
    }
    let lease = Lease { entry: entry_id(&id)?, delivery: 1, epoch };
    let mut fields = self::fields(fields)?;
    mark.check(&mut fields);
    Ok(Some(Delivery::new(lease, fields)))
}

pub(crate) fn entry_id(value: &Value) -> Result<EntryId, Error> {
    value.as_bytes().and_then(EntryId::parse).ok_or_else(unexpected)
}

/// Fields from a list that alternates names and values.
pub(crate) fn fields(fields: Value) -> Result<Fields, Error> {
    let Value::Array(flat) = fields else { return Err(unexpected()) };
    let mut fields = Fields::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        fields.push((bytes(name)?, bytes(value)?));
    }
    Ok(fields)
}

fn bytes(value: Value) -> Result<Bytes, Error> {
    value.into_bytes().ok_or_else(unexpected)
}
