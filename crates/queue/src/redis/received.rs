//! Makes deliveries of the entries in a reply.

use fred::error::Error;
use fred::types::Value;

use super::mark::Mark;
use super::queue_shard::Inner;
use super::reply::{entry_id, fields, unexpected};
use crate::job::{Delivery, Lease};

/// Entries share the memory of a reply up to this size, in bytes. In a larger reply, a small entry that stays in
/// flight would keep the memory of all others.
const SHARED_REPLY_BYTES_MAX: usize = 256 * 1024;

/// The deliveries of one reply.
pub(crate) struct Received<'a> {
    epoch: u32,
    mark: &'a Mark,
    entry_bytes_max: usize,
    taken: Vec<Delivery>,
    /// The size of the reply's fields.
    bytes: usize,
}

impl<'a> Received<'a> {
    /// None so far. `epoch` is that of the time when the call was sent.
    pub(crate) fn new(queue: &'a Inner, epoch: u32, capacity: usize) -> Self {
        let entry_bytes_max = queue.consumer.entry_bytes_max;
        Self { epoch, mark: &queue.mark, entry_bytes_max, taken: Vec::with_capacity(capacity), bytes: 0 }
    }

    /// Adds an entry with its delivery count.
    pub(crate) fn add(
        &mut self,
        id: &Value,
        delivery: u64,
        own: Value,
        whole_bytes: Option<usize>,
    ) -> Result<(), Error> {
        let lease = Lease { entry: entry_id(id)?, delivery, epoch: self.epoch };
        let mut fields = fields(own)?;
        self.bytes += fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.mark.check(&mut fields);
        let bytes_max = self.entry_bytes_max;
        self.taken.push(Delivery { whole_bytes, bytes_max, ..Delivery::new(lease, fields) });
        Ok(())
    }

    /// All of them.
    pub(crate) fn all(mut self) -> Vec<Delivery> {
        if self.bytes > SHARED_REPLY_BYTES_MAX {
            let reply = self.bytes;
            let small = self.taken.iter_mut().filter(|delivery| delivery.bytes_here() * 2 < reply);
            small.for_each(Delivery::detach);
        }
        self.taken
    }
}

/// The deliveries in a reply to XREADGROUP for one stream: a list of pairs, a map, or nothing.
pub(crate) fn read(reply: Value, queue: &Inner, epoch: u32) -> Result<Vec<Delivery>, Error> {
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
    let mut received = Received::new(queue, epoch, entries.len());
    for entry in entries {
        let Value::Array(entry) = entry else { return Err(unexpected()) };
        let mut parts = entry.into_iter();
        let (Some(id), Some(fields)) = (parts.next(), parts.next()) else { return Err(unexpected()) };
        // Without fields, the entry was deleted.
        if !matches!(fields, Value::Null) {
            received.add(&id, 1, fields, None)?;
        }
    }
    Ok(received.all())
}
