//! From Redis' replies to ours.

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::types::Value;

use super::take::{Promoted, Reclaimed};
use crate::entry::{Delivery, EntryId, Fields, Lease};
use crate::flows::FlowId;

/// What a settlement came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is as asked for.
    Done,
    /// The job has another delivery by now; it was left alone.
    Lost,
    /// The job is not pending any more: a repetition of a settlement whose reply was lost, or a lost lease.
    Gone,
}

impl Settled {
    /// What it means after so many calls that failed: gone at a repetition, the job was settled by a call whose
    /// reply was lost.
    #[must_use]
    pub fn after(self, failed: u32) -> Self {
        if failed > 0 && self == Self::Gone { Self::Done } else { self }
    }

    pub(super) fn parse(letters: &Value) -> Result<Vec<Self>, Error> {
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

    pub(super) fn parse_one(letter: &Value) -> Result<Self, Error> {
        Self::parse(letter)?.into_iter().next().ok_or_else(unexpected)
    }
}

pub(super) fn unexpected() -> Error {
    Error::new(ErrorKind::Protocol, "Redis gave an answer of another form than its documents say")
}

/// The entries in a reply to XREADGROUP of one stream: a list of pairs, a map, or nothing.
pub(super) fn read(reply: Value, epoch: u32) -> Result<Vec<Delivery>, Error> {
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
    entries.into_iter().filter_map(|entry| delivery(entry, epoch).transpose()).collect()
}

/// One entry as read for the first time. `None` where its payload is gone.
fn delivery(entry: Value, epoch: u32) -> Result<Option<Delivery>, Error> {
    let Value::Array(entry) = entry else { return Err(unexpected()) };
    let mut parts = entry.into_iter();
    let (Some(id), Some(fields)) = (parts.next(), parts.next()) else { return Err(unexpected()) };
    if matches!(fields, Value::Null) {
        return Ok(None);
    }
    let lease = Lease { entry: entry_id(&id)?, delivery: 1, epoch };
    Ok(Some(Delivery::new(lease, flat(fields)?)))
}

/// The answer of reclaim.lua.
pub(super) fn reclaimed(reply: Value, epoch: u32) -> Result<Reclaimed, Error> {
    let Value::Array(parts) = reply else { return Err(unexpected()) };
    let [passed, Value::Array(rows), now] = <[Value; 3]>::try_from(parts).map_err(|_| unexpected())? else {
        return Err(unexpected());
    };
    let taken = rows.into_iter().map(|row| {
        let Value::Array(row) = row else { return Err(unexpected()) };
        let [id, count, fields] = <[Value; 3]>::try_from(row).map_err(|_| unexpected())?;
        let delivery = count.as_u64().ok_or_else(unexpected)?;
        let lease = Lease { entry: entry_id(&id)?, delivery, epoch };
        Ok(Delivery::new(lease, flat(fields)?))
    });
    Ok(Reclaimed {
        taken: taken.collect::<Result<_, _>>()?,
        passed_suspects: passed.as_u64() == Some(1),
        now: now.as_u64().ok_or_else(unexpected)?,
    })
}

/// The answer of promote.lua.
pub(super) fn promoted(reply: Value) -> Result<Promoted, Error> {
    let (moved, next, now, ready, held, due): (u64, u64, u64, u64, Vec<String>, Vec<String>) =
        reply.convert()?;
    // What somebody else put there is none of ours.
    let flows = |names: Vec<String>| names.iter().filter_map(|name| FlowId::parse(name)).collect();
    let next_in = (next > 0).then(|| next.saturating_sub(now));
    Ok(Promoted { moved, next_in, now, ready, held: flows(held), due: flows(due) })
}

pub(super) fn entry_id(value: &Value) -> Result<EntryId, Error> {
    value.as_bytes().and_then(EntryId::parse).ok_or_else(unexpected)
}

/// Names and values, one after the other.
pub(super) fn fields(fields: Value) -> Result<Fields, Error> {
    flat(fields)
}

fn flat(fields: Value) -> Result<Fields, Error> {
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
