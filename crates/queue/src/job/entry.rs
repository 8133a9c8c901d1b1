//! Stream entries: their ids, their fields, and the right to work on one.

use std::fmt;

use bytes::Bytes;

/// The id of a stream entry, `MS-SEQ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Unix milliseconds, by the Redis server's clock or as a producer set them.
    pub millis: u64,
    /// Counts within a millisecond.
    pub sequence: u64,
}

impl EntryId {
    /// Reads an id as Redis writes it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (millis, sequence) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self { millis: millis.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

/// The right of this worker to work on one delivery of a job.
///
/// Redis identifies it by entry, consumer and delivery count. These can repeat after the consumer group was
/// recreated; then the epoch distinguishes the deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The entry.
    pub entry: EntryId,
    /// How often the entry has been delivered, including this time.
    pub delivery: u64,
    /// How often this process has recreated the group.
    pub epoch: u32,
}

/// The fields of an entry in their order, names and values unchanged.
pub type Fields = Vec<(Bytes, Bytes)>;

/// An entry that was fetched or taken over.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The right to work on it.
    pub lease: Lease,
    /// Its fields.
    pub fields: Fields,
}

/// The maximum size of an entry, names and values together, in bytes.
pub const MOST_BYTES: usize = 4 << 20;

impl Delivery {
    /// Its size, names and values together.
    pub fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Whether it is larger than [`MOST_BYTES`].
    pub fn is_too_large(&self) -> bool {
        self.bytes() > MOST_BYTES
    }
}

/// The producer's W3C context in the fields of an entry, for reading.
pub struct Producer<'a>(pub &'a Fields);

impl telemetry::Carrier for Producer<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(own, _)| own.as_ref() == name.as_bytes());
        let (_, value) = values.next()?;
        if values.next().is_some() { None } else { std::str::from_utf8(value).ok() }
    }

    /// Does nothing: a fetched entry is not changed.
    fn set(&mut self, _: &'static str, _: String) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_and_written_alike_and_ordered_by_time() {
        let id = EntryId::parse(b"1795396101000-12").unwrap();
        assert_eq!(id.to_string(), "1795396101000-12");
        assert!(id > EntryId::parse(b"1795396101000-2").unwrap());
        assert!(EntryId::parse(b"18446744073709551615-18446744073709551615").is_some());
        for wrong in ["", "1", "1-", "-1", "a-1", "1-1-1", "18446744073709551616-0"] {
            assert!(EntryId::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
