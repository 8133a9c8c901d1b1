//! Parses Redis' replies.

use std::time::Duration;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::types::Value;

use crate::job::{EntryId, Fields};

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
